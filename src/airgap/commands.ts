/** Owns what commands ask for and what they are told, in JSON: the same over the control socket and without a daemon. */

/** One image that is to be fetched. */
export interface PrewarmItem {
  /** in full: `docker.io/library/alpine:3.20` */
  reference: string;
  /** `linux/arm64`…; undefined for those of the whole request */
  platforms: 'all' | string[] | undefined;
}

export interface PrewarmRequest {
  images: PrewarmItem[];
  /** for images that do not say it themselves */
  platforms: 'all' | string[];
  isPinning: boolean;
  withReferrers: boolean;
  /** images at a time */
  concurrency: number;
  /** manifests alone are fetched, for their sizes; they are kept */
  isDryRun: boolean;
  /** whether a rate limit is waited for; else it is a failure */
  isPatient: boolean;
}

/** What became of one image, or would. */
export interface PrewarmedImage {
  reference: string;
  digest: string;
  /** of an index; empty for an image without index */
  platforms: string[];
  /** of all its content, of what was here before, and of what was fetched (in a dry run: would be) */
  bytes: number;
  hereBytes: number;
  fetchedBytes: number;
  /** manifests that were fetched for it, each of which counts against a pull limit */
  pulls: number;
  referrers: number;
  isPinned: boolean;
}

export interface PrewarmFailure {
  reference: string;
  /** what was wrong, and what to do */
  message: string;
}

export interface PrewarmProgress {
  /** images that are fetched now */
  running: { reference: string; bytes: number; totalBytes: number }[];
  images: { done: number; failed: number; total: number };
  /** of all content that is known by now, each once; grows as manifests come */
  bytes: number;
  totalBytes: number;
  /** that were fetched by this run */
  fetchedBytes: number;
  /** pulls that upstreams with a limit still allow, the least of them */
  pullsLeft: number | undefined;
}

export interface PrewarmReport {
  images: { done: number; failed: number; total: number };
  bytes: number;
  hereBytes: number;
  /** in a dry run: that would be fetched */
  fetchedBytes: number;
  /** manifests that were fetched */
  pulls: number;
  failures: PrewarmFailure[];
  /** in a dry run */
  forecast: PrewarmForecast | undefined;
}

/** What a run would meet. */
export interface PrewarmForecast {
  /** images whose size is not known: their manifests could not be fetched */
  unknownImages: number;
  /** pulls that are still needed at least: what the dry run fetched is kept and not needed again */
  pullsNeeded: number;
  /** of each upstream of the list */
  limits: PullForecast[];
  hasPulls: boolean;
  /** on disk: of all the images, of what else is pinned, and what the store may hold */
  neededBytes: number;
  pinnedBytes: number;
  maxBytes: number;
  hasRoom: boolean;
}

/** Whether what an upstream still allows suffices. */
export interface PullForecast {
  upstream: string;
  pullsNeeded: number;
  /** without what is kept for clients, all accounts together; undefined where no limit is known */
  pullsLeft: number | undefined;
  /** `left` is undefined where upstream has not said it, or too long ago */
  accounts: { account: string; left: number | undefined }[];
  /** also where an account may have more than is known */
  hasPulls: boolean;
}

export type PrewarmEvent =
  | ({ kind: 'progress' } & PrewarmProgress)
  /** a limit is waited for */
  | { kind: 'waiting'; reference: string; until: string; message: string }
  /** something that whoever asked should know, and that is no failure */
  | { kind: 'note'; reference: string; message: string }
  | ({ kind: 'image' } & PrewarmedImage)
  | ({ kind: 'failure' } & PrewarmFailure)
  | ({ kind: 'report' } & PrewarmReport);

export interface PinRequest {
  /** in full */
  references: string[];
  /** undefined: of each image those that are here as a whole */
  platforms: 'all' | string[] | undefined;
  withReferrers: boolean;
}

export interface PinStatus {
  reference: string;
  digest: string;
  platforms: 'all' | string[];
  withReferrers: boolean;
  /** empty: pinned by a person; else the list of the schedule that pins it */
  origin: string;
  pinnedAt: string;
  /** of all that belongs to it */
  bytes: number;
  /** whether all of it is stored */
  isComplete: boolean;
}

export interface PinReport {
  pinned: PinStatus[];
  /** on disk, of all that is pinned, and the budget */
  pinnedBytes: number;
  maxBytes: number;
}

export interface UnpinReport {
  unpinned: string[];
  pinnedBytes: number;
}

export interface RemoveRequest {
  references: string[];
  isDryRun: boolean;
}

export interface RemoveReport {
  removed: {
    reference: string;
    digest: string;
    /** content that went with it (in a dry run: would) */
    objects: number;
    bytes: number;
    /** of its content, what something else needs */
    keptBytes: number;
  }[];
  bytes: number;
}

export interface ExportRequest {
  selection: 'references' | 'pinned' | 'all';
  /** in full, where they are selected */
  references: string[];
  /** undefined: of each image those that are here as a whole */
  platforms: 'all' | string[] | undefined;
  /** digests that earlier bundles carried */
  since: string[];
}

/** What a bundle is going to hold, before its first byte. */
export interface ExportPlan {
  images: { reference: string; digest: string; platforms: string[]; bytes: number }[];
  /** of the whole file */
  bytes: number;
  /** content that it carries, and what it needs of earlier bundles */
  carried: { objects: number; bytes: number };
  required: { objects: number; bytes: number };
  /** images that were not asked for by name and are not whole, with why */
  leftOut: { reference: string; message: string }[];
}

/** What an archive carries, by its own word. */
export interface CarriedContent {
  digest: string;
  /** bytes */
  size: number;
}

export interface ImportRequest {
  /** `REF`, or `OLD=NEW` */
  as: string[];
  isPinning: boolean;
  isDryRun: boolean;
  /** of the archive's content, where whoever sends it has looked */
  bytes: number | undefined;
}

export interface ImportedImage {
  reference: string;
  digest: string;
  platforms: string[];
  bytes: number;
  /** of these, what was not in the store before */
  newBytes: number;
  referrers: number;
  /** whether its manifest was made: the archive has none */
  isMade: boolean;
  isPinned: boolean;
}

export type ImportEvent =
  | { kind: 'progress'; bytes: number; totalBytes: number | undefined }
  | { kind: 'note'; message: string }
  | ({ kind: 'image' } & ImportedImage)
  /** nothing was imported */
  | { kind: 'refused'; message: string }
  | {
      kind: 'report';
      archive: string;
      images: number;
      bytes: number;
      newBytes: number;
      /** what a delta needs of earlier bundles, all of which is here */
      required: { objects: number; bytes: number };
    };

/** How a schedule of the configuration is doing. */
export interface ScheduleStatus {
  list: string;
  everyS: number;
  isPinning: boolean;
  state: 'waiting' | 'running' | 'offline';
  /** of the run before, undefined where there was none yet */
  last:
    | {
        startedAt: string;
        endedAt: string;
        result: 'done' | 'failed';
        images: { done: number; failed: number; total: number };
        fetchedBytes: number;
        /** why the list as a whole could not be fetched */
        message: string | undefined;
      }
    | undefined;
  nextAt: string | undefined;
}
