/** Owns clients that ask for anything, whole or in part, again and again, and judge each answer. */
import type { Test } from 'tap';
import { ANY_MANIFEST, fetch } from './client.ts';
import type { Content } from './content.ts';
import type { Random } from './random.ts';

/** Something that can be asked for, and what must come. */
export interface Target {
  path: string;
  body: Buffer;
  isBlob: boolean;
}

/** One run of the server, from its start to its end. */
export interface Life {
  url: string;
  /** true before it is killed: from then on answers may break off */
  isOver: boolean;
}

export interface Tally {
  complete: number;
  brokenOff: number;
}

export function blobTarget(repository: string, { digest, body }: Content): Target {
  return { path: `/v2/${repository}/blobs/${digest}`, body, isBlob: true };
}

export function manifestTarget(repository: string, reference: string, { body }: Content): Target {
  return { path: `/v2/${repository}/manifests/${reference}`, body, isBlob: false };
}

/** Asks until the life is over. What is complete must be right, and nothing may break off before. */
export async function askRestlessly(
  t: Test,
  life: Life,
  { targets, random, tally }: { targets: readonly [Target, ...Target[]]; random: Random; tally: Tally },
): Promise<void> {
  while (!life.isOver) await ask(t, life, random.pick(targets), tally, random);
}

/** @param random chooses a range of a blob now and then; without it the whole is asked for */
export async function ask(t: Test, life: Life, target: Target, tally: Tally, random?: Random): Promise<void> {
  const { path, body, isBlob } = target;
  const range = random && isBlob && random.between(1, 3) === 1 ? chooseRange(body.length, random) : undefined;
  const headers = { ...(isBlob ? {} : ANY_MANIFEST), ...(range && { range: range.header }) };
  const received = await fetch(life.url + path, { headers }).catch(() => undefined);
  if (!received?.isComplete) {
    tally.brokenOff += 1;
    if (!life.isOver) t.fail('an answer broke off although nobody was killed', { path, ...range });
    return;
  }
  const wanted = range ? body.subarray(range.start, range.end) : body;
  const isRight = received.status === (range ? 206 : 200) && received.body.equals(wanted);
  const { status } = received;
  if (!isRight) t.fail('complete and wrong', { path, range, status, bytes: received.body.length });
  tally.complete += 1;
}

interface ChosenRange {
  header: string;
  start: number;
  /** excluded */
  end: number;
}

function chooseRange(size: number, random: Random): ChosenRange {
  const start = random.between(0, size - 1);
  const end = random.between(start + 1, size);
  return random.pick<ChosenRange>([
    { header: `bytes=${start}-${end - 1}`, start, end },
    { header: `bytes=${start}-`, start, end: size },
    { header: `bytes=-${end}`, start: size - end, end: size },
  ]);
}
