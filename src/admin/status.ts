/** Owns what hubcap tells about itself: the status document and the list of images, the same for page, API and CLI. */

import type { ScheduleStatus } from '../airgap/commands.ts';
import type { MirroredUpstream } from '../mirror/mirrored-upstream.ts';
import type { Digest } from '../oci/digest.ts';
import { isIndexType } from '../oci/media-types.ts';
import type { Catalog, ImageRow } from '../store/catalog.ts';
import { closureOf } from '../store/closure.ts';
import type { DiskStore } from '../store/disk-store.ts';
import type { Fills } from '../store/fills.ts';
import type { Misses } from '../store/misses.ts';
import type { Pins } from '../store/pins.ts';
import type { Totals } from '../totals.ts';

/** What is told at `/api/status`. */
export interface PageStatus extends Status {
  /** whether whoever asked is told names of images */
  tellsNames: boolean;
}

/** What is told at `/api/ready`: the same as `/readyz` says, for a page, to which a 503 would be trouble of its own. */
export interface Readiness {
  /** why it is not ready, empty where it is */
  reasons: string[];
}

export interface Status {
  version: string;
  pid: number;
  startedAt: string;
  uptimeS: number;
  /** URLs; undefined where no daemon runs */
  listen: string | undefined;
  admin: string | undefined;
  /** whether the mirror can be reached from this machine alone */
  isLocalOnly: boolean;
  directory: string;
  isOffline: boolean;
  /** undefined where no daemon runs */
  configuration: ConfigurationStatus | undefined;
  store: {
    bytes: number;
    maxBytes: number;
    reservedBytes: number;
    objects: number;
    /** references that are pinned, and bytes on disk of all that belongs to them, once it is here */
    pins: number;
    pinnedBytes: number;
    isWritable: boolean;
  };
  /** undefined where no daemon runs */
  totals: Totals | undefined;
  /** lines of the miss list, as of its last write */
  misses: number;
  /** in the order of the configuration; empty where no daemon runs */
  prewarm: ScheduleStatus[];
  fills: FillStatus[];
  upstreams: {
    host: string;
    url: string;
    isDefault: boolean;
    /** in the order in which they are asked */
    endpoints: {
      url: string;
      state: 'up' | 'slow' | 'down';
      /** why it is not `up` */
      reason: string | undefined;
      message: string | undefined;
      /** whoever answers there is believed */
      isInsecure: boolean;
    }[];
    /** until when nothing is asked there: the limit on its requests was met */
    restingUntil: string | undefined;
    accounts: AccountStatus[];
  }[];
}

/** A running download. */
export interface FillStatus {
  digest: string;
  upstream: string;
  /** for which it began; undefined where names are not told */
  repository: string | undefined;
  /** bytes; undefined where upstream has not said it */
  size: number | undefined;
  /** that are here */
  bytes: number;
  readers: number;
}

/** One of the accounts that an upstream is asked with. */
export interface AccountStatus {
  account: string;
  /** pulls in a window, and how many of them are left, as upstream last said */
  limit: number | undefined;
  remaining: number | undefined;
  windowS: number | undefined;
  /** whom upstream counts: an address, or an account */
  source: string | undefined;
  /** until when nothing is pulled with it: its limit was met */
  restingUntil: string | undefined;
  /** until when its login is not tried again: upstream refuses it, or it cannot be had */
  rejectedUntil: string | undefined;
}

export interface ConfigurationStatus {
  loadedAt: string;
  /** keys that were changed and hold after a restart */
  needsRestart: string[];
}

/** What reading the configuration again has changed. */
export interface ReloadReport {
  /** hosts of upstreams */
  added: string[];
  changed: string[];
  removed: string[];
  /** other keys that hold now */
  settings: string[];
  /** keys that were changed and hold after a restart */
  needsRestart: string[];
}

export interface OfflineState {
  isOffline: boolean;
  /** whether it was the other way before */
  isChanged: boolean;
}

export interface PlatformStatus {
  /** `linux/arm64/v8`; `unknown/unknown` for an attestation; undefined for an image that is no index */
  platform: string | undefined;
  digest: string;
  isComplete: boolean;
  /** of its content that is stored, and of all of its content that is known */
  storedBytes: number;
  knownBytes: number;
}

export interface ImageStatus {
  /** as a client names it: `docker.io/library/alpine:latest` */
  reference: string;
  digest: string;
  mediaType: string;
  /** when upstream last said that the tag is this; undefined for a reference by digest */
  checkedAt: string | undefined;
  /** `complete`: every platform is here; `partial`: some content is not */
  state: 'complete' | 'partial';
  storedBytes: number;
  /** when somebody last wanted it; undefined where that is not known */
  lastUsedAt: string | undefined;
  /** whether eviction never takes it */
  isPinned: boolean;
  platforms: PlatformStatus[];
}

/** Reads the images one by one; memory does not grow with their number. */
export function* listImages(parts: ImageParts): Generator<ImageStatus> {
  for (const row of parts.catalog.images()) yield describeImage(row, parts);
}

/** Where it is known what there is of an image. */
export interface ImageParts {
  catalog: Catalog;
  store: DiskStore;
  pins: Pins;
}

/** @returns the image's name, as a client says it */
export function referenceOf({ upstream, repository, tag, digest }: ImageRow): string {
  return `${upstream}/${repository}${tag === undefined ? `@${digest}` : `:${tag}`}`;
}

/** @returns what there is of the image; costs some point reads for each thing that belongs to it */
export function describeImage(row: ImageRow, { catalog, store, pins }: ImageParts): ImageStatus {
  const ownBytes = store.sizeOf(row.digest) ?? 0;
  const links = catalog.links(row.digest);
  const platforms = isIndexType(row.mediaType)
    ? links.map((link) => describePlatform(link.child, link.platform, link.size, link.stored, catalog))
    : [describePlatform(row.digest, undefined, ownBytes, true, catalog)];
  const childBytes = platforms.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
  return {
    reference: referenceOf(row),
    digest: row.digest,
    mediaType: row.mediaType,
    checkedAt: timeText(row.checkedAtMs),
    state: platforms.every(({ isComplete }) => isComplete) ? 'complete' : 'partial',
    storedBytes: isIndexType(row.mediaType) ? childBytes + ownBytes : childBytes,
    lastUsedAt: timeText(store.lastUsedAtMs(row.digest)),
    isPinned: pins.names(row.digest),
    platforms,
  };
}

function describePlatform(
  digest: Digest,
  platform: string | undefined,
  size: number,
  isStored: boolean,
  catalog: Catalog,
): PlatformStatus {
  const content = [{ child: digest, size, stored: isStored }, ...closureOf(digest, catalog)];
  const total = (links: readonly { size: number }[]): number =>
    links.reduce((sum, link) => sum + link.size, 0);
  const stored = content.filter((link) => link.stored);
  return {
    platform,
    digest,
    isComplete: isStored && stored.length === content.length,
    storedBytes: total(stored),
    knownBytes: total(content),
  };
}

export interface StatusSources {
  version: string;
  startedAtMs: number;
  listen: string | undefined;
  admin: string | undefined;
  isLocalOnly: boolean;
  directory: string;
  isOffline: () => boolean;
  configuration: { loadedAtMs: number; needsRestart: string[] } | undefined;
  isWritable: () => boolean;
  store: DiskStore;
  fills: Fills;
  totals: Totals | undefined;
  misses: Misses;
  pins: Pins;
  schedules: readonly ScheduleStatus[];
  upstreams: readonly MirroredUpstream[];
  defaultUpstream: string;
  now: () => number;
}

/** @returns the status as of now; holds no secret */
export function describeStatus(sources: StatusSources): Status {
  const { store, fills, pins, upstreams, startedAtMs, configuration } = sources;
  return {
    version: sources.version,
    pid: process.pid,
    startedAt: new Date(startedAtMs).toISOString(),
    uptimeS: Math.round((sources.now() - startedAtMs) / 1000),
    listen: sources.listen,
    admin: sources.admin,
    isLocalOnly: sources.isLocalOnly,
    directory: sources.directory,
    isOffline: sources.isOffline(),
    configuration: configuration && {
      loadedAt: new Date(configuration.loadedAtMs).toISOString(),
      needsRestart: configuration.needsRestart,
    },
    store: {
      bytes: store.ledger.usedBytes,
      maxBytes: store.ledger.maxBytes,
      reservedBytes: store.ledger.reservedBytes,
      objects: store.objects,
      pins: pins.count,
      pinnedBytes: pins.bytes,
      isWritable: sources.isWritable(),
    },
    totals: sources.totals && structuredClone(sources.totals),
    misses: sources.misses.lines,
    prewarm: [...sources.schedules],
    fills: [...fills.list()].map(({ digest, origin, size, frontier, readers }) => ({
      digest,
      ...origin,
      size,
      bytes: frontier,
      readers,
    })),
    upstreams: upstreams.map(({ host, client }) => ({
      host,
      url: client.address.href,
      isDefault: host === sources.defaultUpstream,
      endpoints: client.endpoints.map(({ url, state, failure, isInsecure }) => ({
        url,
        state,
        reason: failure?.reason,
        message: failure?.message,
        isInsecure,
      })),
      restingUntil: timeText(client.restingUntilMs),
      accounts: client.accounts.map(
        ({ restingUntilMs, rejectedUntilMs, spare: _, isCurrent: __, ...account }) => ({
          ...account,
          restingUntil: timeText(restingUntilMs),
          rejectedUntil: timeText(rejectedUntilMs),
        }),
      ),
    })),
  };
}

/** The status for whoever is not told names of images: what is wrong with a list names what is in it. */
export function withoutNames(status: Status): Status {
  const fills = status.fills.map((fill) => ({ ...fill, repository: undefined }));
  const prewarm = status.prewarm.map(({ last, ...schedule }) => {
    return { ...schedule, last: last && { ...last, message: undefined } };
  });
  return { ...status, fills, prewarm };
}

function timeText(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}
