/** Owns one run of the model: a hubcap in many lives, its clients, and what must be true of them all. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Received } from '../client.ts';
import type { Content } from '../content.ts';
import { assertDiskIsTrue, leftoversOf, openFilesBelow } from '../disk-truth.ts';
import { until } from '../waiting.ts';
import { falsehoodIn, isSuccess, rangeHeader, receive } from './answers.ts';
import { contentAt, unknown } from './contents.ts';
import { type FaultyRegistry, REPOSITORIES } from './faulty-registry.ts';
import { beginLife, copyDirectory, type Life } from './life.ts';
import type { Step, Wanted } from './steps.ts';

interface Pull {
  content: Content;
  wanted: Wanted;
  repository: number;
}

export class World {
  readonly #upstream: FaultyRegistry;
  readonly #maxBytes: number;
  readonly #base: string;
  readonly #clients = new Set<Promise<void>>();
  readonly #faults: string[] = [];
  readonly #touched = new Set<Content>();
  #lives = 0;
  #mayFindFiles = false;
  #life: Life | undefined;

  /** @param base of all data directories; best in memory */
  constructor(upstream: FaultyRegistry, maxBytes: number, base: string) {
    this.#upstream = upstream;
    this.#maxBytes = maxBytes;
    this.#base = mkdtempSync(join(base, 'hubcap-model-'));
  }

  /** Does all steps, then sees whether the world is as it should be. @throws Error that says what is not */
  async run(steps: readonly Step[]): Promise<void> {
    try {
      await this.#begin();
      for (const step of steps) await this.#do(step);
      await this.#settle();
      this.#upstream.calm();
      for (const content of this.#touched) await this.#pull({ content, wanted: undefined, repository: 0 });
      await this.#settle();
      await this.#seeThatItCaches();
    } finally {
      this.#upstream.calm();
      await this.#life?.close();
      await Promise.all(this.#clients);
    }
    await until('no connection to upstream is open', () => this.#upstream.registry.connections === 0, 2);
    await until('no file is open', () => openFilesBelow(this.#base).length === 0, 2);
    this.#throwFaults();
    rmSync(this.#base, { recursive: true });
  }

  get #current(): Life {
    if (!this.#life) throw new Error('no hubcap lives');
    return this.#life;
  }

  #directoryOf(life: number): string {
    return join(this.#base, String(life));
  }

  async #begin(): Promise<void> {
    this.#life = await beginLife({
      directory: this.#directoryOf(this.#lives),
      upstream: new URL(this.#upstream.registry.url),
      maxBytes: this.#maxBytes,
      isFirst: this.#lives === 0,
      changed: () => this.#checkBudget(),
    });
  }

  async #do(step: Step): Promise<void> {
    if ('which' in step) this.#touched.add(contentAt(step.which));
    switch (step.do) {
      case 'pull': {
        const { which, range: wanted, repository } = step;
        const pulled = this.#pull({ content: contentAt(which), wanted, repository });
        return step.isAwaited ? await pulled : undefined;
      }
      case 'crowd':
        for (let n = 0; n < step.clients; n++)
          void this.#pull({ content: contentAt(step.which), wanted: undefined, repository: n % 2 });
        return;
      case 'head':
        return await this.#head(contentAt(step.which), step.repository);
      case 'leave':
        return this.#leave(contentAt(step.which), step.after);
      case 'unknown':
        return await this.#askUnknown();
      case 'arm':
        return this.#upstream.arm(contentAt(step.which).digest, step.fault);
      case 'settle':
        return await this.#settle();
      case 'crash':
        return await this.#crash();
      case 'restart':
        return await this.#restart();
    }
  }

  #url(digest: string, repository: number): string {
    return `${this.#current.url}/v2/${REPOSITORIES[repository] ?? REPOSITORIES[0]}/blobs/${digest}`;
  }

  /** A client; it is waited for at the next end of all. */
  #track(work: Promise<void>): Promise<void> {
    const tracked = work
      .catch((error: unknown) => this.#note(String(error)))
      .finally(() => this.#clients.delete(tracked));
    this.#clients.add(tracked);
    return tracked;
  }

  #pull({ content, wanted, repository }: Pull): Promise<void> {
    const life = this.#lives;
    const url = this.#url(content.digest, repository);
    return this.#track(
      receive(url, { headers: rangeHeader(wanted) }).then((received) => {
        const what = `GET ${content.body.length} bytes ${JSON.stringify(rangeHeader(wanted))}`;
        this.#judge(what, content, wanted, received);
        const isDisturbed = this.#upstream.isTroubled(content.digest) || life !== this.#lives;
        if (!isDisturbed && !isSuccess(content, wanted, received))
          this.#note(`${what}: ${received.status} without a reason: ${received.body.subarray(0, 200)}`);
      }),
    );
  }

  #leave(content: Content, after: number): void {
    void this.#track(
      receive(this.#url(content.digest, 0), {}, after).then((received) =>
        this.#judge('a client that leaves', content, undefined, received),
      ),
    );
  }

  async #head(content: Content, repository: number): Promise<void> {
    const received = await receive(this.#url(content.digest, repository), { method: 'HEAD' });
    const length = received.headers['content-length'];
    if (received.status === 200 && length !== String(content.body.length))
      this.#note(`HEAD says ${length} instead of ${content.body.length}`);
  }

  async #askUnknown(): Promise<void> {
    const { status } = await receive(this.#url(unknown, 0), {});
    if (status !== 404) this.#note(`what nobody has is answered ${status}`);
  }

  #judge(what: string, content: Content, wanted: Wanted, received: Received): void {
    const falsehood = falsehoodIn(content, wanted, received);
    // A part of content that nobody has seen whole cannot be proven: it is as true as upstream was.
    const isUnproven = wanted !== undefined && received.status !== 200;
    if (isUnproven && this.#upstream.isTroubled(content.digest)) return;
    if (falsehood !== undefined) this.#note(`${what}: ${falsehood}`);
    if (received.status === 404 && !this.#upstream.wasDenied(content.digest))
      this.#note(`${what}: trouble was reported as absence`);
  }

  async #crash(): Promise<void> {
    const life = this.#current;
    this.#lives += 1;
    this.#mayFindFiles = true;
    await life.crash(this.#directoryOf(this.#lives));
    await this.#beginAnew();
  }

  async #restart(): Promise<void> {
    const life = this.#current;
    const { ledger } = life.opened.store;
    const isBusy = (): boolean => ledger.reservedBytes + ledger.deletingBytes > 0;
    this.#lives += 1;
    const wasBusy = isBusy();
    await life.close();
    this.#mayFindFiles ||= wasBusy || isBusy();
    copyDirectory(this.#directoryOf(this.#lives - 1), this.#directoryOf(this.#lives));
    await this.#beginAnew();
  }

  async #beginAnew(): Promise<void> {
    await Promise.all(this.#clients);
    rmSync(this.#directoryOf(this.#lives - 1), { recursive: true, force: true });
    await this.#begin();
  }

  /** Whatever has happened before: what is pulled alone is kept, if it can be. */
  async #seeThatItCaches(): Promise<void> {
    const content = [...this.#touched].at(-1);
    if (!content || content.body.length > this.#maxBytes) return;
    await this.#pull({ content, wanted: undefined, repository: 0 });
    await this.#settle();
    const { headers } = await receive(this.#url(content.digest, 0), {});
    if (headers['cache-status'] !== 'hubcap; hit')
      this.#note(`content that was just pulled, of ${content.body.length} bytes: ${headers['cache-status']}`);
  }

  /** Everything has ended: then the books must balance. */
  async #settle(): Promise<void> {
    await Promise.all(this.#clients);
    await this.#current.background;
    let difference = '';
    const isBalanced = async (): Promise<boolean> => {
      difference = await this.#difference();
      return difference === '';
    };
    await until('the books balance', isBalanced, 2).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${difference}`);
    });
    this.#throwFaults();
    this.#upstream.calm();
  }

  /** @returns what differs between what hubcap says and what is; nothing where all is well */
  async #difference(): Promise<string> {
    const { store, fills } = this.#current.opened;
    const { usedBytes, reservedBytes, deletingBytes } = store.ledger;
    const directory = this.#directoryOf(this.#lives);
    if (fills.size > 0) return `${fills.size} fills run`;
    if (this.#upstream.registry.answering > 0) return 'upstream is still being read';
    if (reservedBytes + deletingBytes > 0)
      return `${reservedBytes} bytes are reserved, ${deletingBytes} are being deleted`;
    const disk = await assertDiskIsTrue(directory);
    if (usedBytes !== disk.bytesOnDisk)
      return `the ledger says ${usedBytes}, on disk are ${disk.bytesOnDisk} bytes`;
    if (store.objects !== disk.blobs.size)
      return `the store says ${store.objects} objects, on disk are ${disk.blobs.size}`;
    return [...leftoversOf(disk), ...openFilesBelow(directory)].map((path) => `left or open: ${path}`).join();
  }

  #checkBudget(): void {
    const ledger = this.#life?.opened.store.ledger;
    if (!ledger) return;
    const { usedBytes, reservedBytes, deletingBytes } = ledger;
    // Not their sum: a fill that is just being moved into the store is counted twice for the time of an fsync. And not
    // after a crash, or an end in the middle of a commit or a removal: serving does not wait until files are found that
    // no row tells of.
    if (!this.#mayFindFiles && Math.max(usedBytes + deletingBytes, reservedBytes) > this.#maxBytes)
      this.#note(`over the budget: ${usedBytes} + ${reservedBytes} + ${deletingBytes}`);
    if (Math.min(usedBytes, reservedBytes, deletingBytes) < 0)
      this.#note(`less than nothing: ${usedBytes} + ${reservedBytes} + ${deletingBytes}`);
  }

  #note(fault: string): void {
    this.#faults.push(fault);
  }

  #throwFaults(): void {
    if (this.#faults.length > 0) throw new Error([...new Set(this.#faults)].join('\n'));
  }
}
