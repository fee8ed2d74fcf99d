/** Owns what is asked of an upstream, and for how long its asker can wait. */
import type { Repository } from '../oci/reference.ts';
import type { Asked } from './circuit.ts';

export type Question = Asked & { deadlineMs: number };

/** Clients wait 30 s for a response's head (containerd): hubcap must know before. */
export const ANSWER_DEADLINE_MS = 25_000;

/** @param deadlineMs shorter than what a client can wait: something known can be served instead of the answer */
export function toQuestion(
  kind: Asked['kind'],
  repository: Repository,
  path: string,
  deadlineMs = ANSWER_DEADLINE_MS,
): Question {
  const patience = deadlineMs < ANSWER_DEADLINE_MS ? 'short' : 'long';
  return { kind, repository, path, patience, deadlineMs };
}
