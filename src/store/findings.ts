/** Owns the words for what can be wrong with a store, and the walk that looks for it. */
import type { Digest } from '../oci/digest.ts';

/**
 * damaged     content that is not what its name says
 * missing     a row whose file is gone
 * unknown     a file that is no content
 * leftover    a file among the downloads that belongs to none
 * irregular   a directory, link or socket where only files are made; left where it is
 * unreadable  the disk refuses to read it; left where it is
 */
export const FINDING_KINDS = [
  'damaged',
  'missing',
  'unknown',
  'leftover',
  'irregular',
  'unreadable',
] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];

export interface StoreFinding {
  what: FindingKind;
  /** the digest, or the path of what is no content */
  name: string;
  /** of the file, 0 where there is none */
  bytes: number;
  /** whether it was moved out of the way */
  isSetAside: boolean;
}

/** What a walk through the store tells as it goes; it can be paced and ended between any two. */
export type Step =
  | { kind: 'read'; bytes: number }
  | { kind: 'checked'; digest: Digest; isAdopted: boolean }
  | { kind: 'found'; finding: StoreFinding };
