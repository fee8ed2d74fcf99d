/** Owns the upstream of the model: it holds all content, and does the next download wrong as it was told to. */
import { gzipSync } from 'node:zlib';
import type { Test } from 'tap';
import type { Digest } from '../../../src/oci/digest.ts';
import type { Answer, Asked } from '../persona-server.ts';
import { blobDownloads, only } from '../personas.ts';
import { type Registry, startRegistry } from '../registry.ts';
import { type Gate, makeGate } from '../waiting.ts';
import { contents } from './contents.ts';

export type Fault =
  | { kind: 'reset' | 'stall'; after: number }
  | { kind: 'status'; status: number }
  | { kind: 'corrupt'; at: number }
  | { kind: 'silent' | 'html' | 'gzip' | 'no ranges' | 'chunked' | 'shorter' | 'longer' };

export interface FaultyRegistry {
  readonly registry: Registry;
  /** The next download of a digest meets the fault; each one that is armed is met by one download. */
  arm(digest: Digest, fault: Fault): void;
  /** whether a download met a fault, or may still meet one, since the last `calm` */
  isTroubled(digest: Digest): boolean;
  /** whether it was said to be absent since the last `calm` */
  wasDenied(digest: Digest): boolean;
  /** Forgets all faults, and lets go of what is held. */
  calm(): void;
}

export const REPOSITORIES = ['team/app', 'team/other'] as const;

export async function startFaultyRegistry(t: Test): Promise<FaultyRegistry> {
  const registry = await startRegistry(t);
  for (const repository of REPOSITORIES) for (const content of contents) registry.push(repository, content);
  const armed = new Map<string, Fault[]>();
  const absent = new Set<string>();
  let gate = makeGate();
  t.teardown(() => gate.open());
  registry.act(
    only(blobDownloads, async (asked, answer) => {
      const digest = asked.path.slice(asked.path.lastIndexOf('/') + 1);
      const fault = armed.get(digest)?.shift();
      if (!fault) return await answer();
      if (fault.kind === 'status' && fault.status === 404) absent.add(digest);
      return await spoil(fault, asked, answer, gate);
    }),
  );
  return {
    registry,
    arm: (digest, fault) => armed.set(digest, [...(armed.get(digest) ?? []), fault]),
    isTroubled: (digest) => armed.has(digest),
    wasDenied: (digest) => absent.has(digest),
    calm: () => {
      armed.clear();
      absent.clear();
      gate.open();
      gate = makeGate();
    },
  };
}

async function spoil(fault: Fault, asked: Asked, answer: () => Promise<Answer>, gate: Gate): Promise<Answer> {
  if (fault.kind === 'no ranges') delete asked.headers.range;
  if (fault.kind === 'silent') await gate.opened;
  if (fault.kind === 'status') return { status: fault.status };
  if (fault.kind === 'html') return { status: 200, body: Buffer.from('<html>log in</html>') };
  const plain = await answer();
  const body = plain.body ?? Buffer.alloc(0);
  if (body.length === 0) return plain;
  switch (fault.kind) {
    case 'reset':
      return { ...plain, breakAfter: fault.after };
    case 'stall':
      // Before the last byte: a body that is all there is no stall to whoever reads it.
      return { ...plain, hold: { at: Math.min(fault.after, body.length - 1), gate: gate.opened } };
    case 'corrupt':
      return { ...plain, body: flipped(body, fault.at) };
    case 'gzip':
      return { status: 200, headers: { 'content-encoding': 'gzip' }, body: gzipSync(body) };
    case 'chunked': {
      const { 'content-length': _, ...headers } = plain.headers ?? {};
      return { ...plain, headers, isChunked: true };
    }
    case 'shorter':
      return { status: 200, body: body.subarray(0, -1) };
    case 'longer':
      return { status: 200, body: Buffer.concat([body, Buffer.from('x')]) };
    default:
      return plain;
  }
}

function flipped(body: Buffer, at: number): Buffer {
  const copy = Buffer.from(body);
  if (copy.length > 0) copy.writeUInt8(copy.readUInt8(at % copy.length) ^ 1, at % copy.length);
  return copy;
}
