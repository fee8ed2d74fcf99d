/** Owns what clients' files say about where they pull: the addresses that are to be tried. */
import type { Finding } from '../check.ts';

/** One address at which a client asks for what is some registry's. */
export interface MirrorUse {
  /** `docker`, `containerd`, `podman`, `k3s`, `buildkit` */
  client: string;
  /** where it is written */
  file: string;
  /** origin, and the path in front of or behind `/v2` */
  url: URL;
  /** whose images: `docker.io`; undefined where it is for any registry */
  registry: string | undefined;
  /** the client takes any certificate */
  isUnproven: boolean;
}

/** What a client's files say. */
export interface Inspection {
  findings: Finding[];
  mirrors: MirrorUse[];
}

/** @returns the findings and mirrors of all */
export function joined(inspections: readonly Inspection[]): Inspection {
  return {
    findings: inspections.flatMap(({ findings }) => findings),
    mirrors: inspections.flatMap(({ mirrors }) => mirrors),
  };
}

/** A client's file. */
export interface ClientFile {
  /** as the user knows it: without the root that was looked below */
  path: string;
  text: string;
}
