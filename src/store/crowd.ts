/** Owns the readers of a passage: how far each of them is, and who waits for more. */
import type { WakeUp } from './wake-up.ts';

/** One reader. @typeParam P where it reads: it may be moved to another */
export interface Member<P> {
  passage: P;
  /** offset that it reads next: what lies before is not kept for it */
  position: number;
  isOpen: boolean;
  hasRead: boolean;
  more: WakeUp;
}

export class Crowd<P> {
  readonly #members = new Set<Member<P>>();

  get size(): number {
    return this.#members.size;
  }

  /** whether somebody waits for more */
  get isWaiting(): boolean {
    return this.#some(({ more }) => more.isAwaited);
  }

  /** whether anybody has been given a byte */
  get hasRead(): boolean {
    return this.#some(({ hasRead }) => hasRead);
  }

  /** offset of the one that is furthest behind */
  get slowest(): number {
    return Math.min(...[...this.#members].map(({ position }) => position));
  }

  add(member: Member<P>): void {
    this.#members.add(member);
  }

  remove(member: Member<P>): void {
    this.#members.delete(member);
  }

  /** @returns who does not wait for more and is no further than `position`, but at least the slowest */
  behind(position: number): Member<P>[] {
    const far = Math.max(position, this.slowest);
    return [...this.#members].filter(({ position, more }) => !more.isAwaited && position <= far);
  }

  wakeAll(): void {
    for (const { more } of this.#members) more.wake();
  }

  #some(is: (member: Member<P>) => boolean): boolean {
    for (const member of this.#members) if (is(member)) return true;
    return false;
  }
}
