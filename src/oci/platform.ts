/** Owns platforms: how they are written (`linux/arm64/v8`) and which one stands for which (image-spec, "Image Index"). Pure. */

export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
}

/** Which platforms of an index are meant; an image without index is meant as a whole. */
export type PlatformChoice = 'all' | readonly Platform[];

/** Other names that people and `uname -m` have for architectures. */
const ARCHITECTURES: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
  i386: ['386'],
};

/** An architecture alone is one of Linux where it is known: else any word would be one. */
const KNOWN_ALONE: ReadonlySet<string> = new Set([
  ...['amd64', 'arm64', 'arm', '386', 'ppc64le', 's390x', 'riscv64', 'loong64', 'mips64le'],
  ...Object.keys(ARCHITECTURES),
]);

const PART = /^[a-z0-9][a-z0-9_.-]*$/;

/**
 * Reads `OS/ARCHITECTURE[/VARIANT]`, in any case; an architecture alone is one of Linux, where it is known.
 * @returns undefined where the text is no platform
 */
export function parsePlatform(text: string): Platform | undefined {
  const parts = text.toLowerCase().split('/');
  if (parts.length === 1 && !KNOWN_ALONE.has(parts[0] ?? '')) return undefined;
  const [os = '', named = '', variant, ...rest] = parts.length === 1 ? ['linux', ...parts] : parts;
  if (rest.length > 0 || ![os, named, variant ?? 'none'].every((part) => PART.test(part))) return undefined;
  const [architecture, implied] = ARCHITECTURES[named] ?? [named];
  const chosen = variant ?? implied;
  return { os, architecture, ...(chosen !== undefined && { variant: chosen }) };
}

/** Node's names for architectures, where they are not those of images. */
const NODE_ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', ppc64: 'ppc64le' };

/**
 * The platform of the images that a machine runs: containers are Linux's, whatever the system around them.
 * @param architecture as Node names it: `process.arch`
 */
export function hostPlatform(architecture: string): Platform {
  if (architecture === 'arm') return { os: 'linux', architecture, variant: 'v7' };
  return { os: 'linux', architecture: NODE_ARCHITECTURES[architecture] ?? architecture };
}

/** @returns `linux/arm64/v8` */
export function platformText({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter(Boolean).join('/');
}

/** @returns whether a manifest for the platform `has` is one for `wanted`; without a variant, any is */
export function isPlatform(has: Platform, wanted: Platform): boolean {
  if (has.os !== wanted.os || has.architecture !== wanted.architecture) return false;
  return wanted.variant === undefined || wanted.variant === (has.variant ?? IMPLIED[has.architecture]);
}

/** What an index means that leaves the variant out. */
const IMPLIED: Readonly<Record<string, string>> = { arm64: 'v8', arm: 'v7' };
