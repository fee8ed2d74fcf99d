/** Owns which platforms of an index have a name: `linux/amd64`. Some have none, and some are attestations. Pure. */
import { type Platform, platformText } from '../../oci/platform.ts';

/** What stands in an index for attestations, beside the platforms. */
const ATTESTATION = 'unknown/unknown';

/** @returns whether the text names a platform; what strangers write there may be anything */
export function isPlatformName(text: string): boolean {
  return text !== ATTESTATION && /^[\w.-]{1,40}(?:\/[\w.-]{1,40}){1,2}$/.test(text);
}

/** @returns the platform's name; undefined where it has none */
export function platformName(platform: Platform | undefined): string | undefined {
  const text = platform && platformText(platform);
  return text !== undefined && isPlatformName(text) ? text : undefined;
}

/** @returns whether this is where attestations stand: no image that could be run */
export function isAttestation(platform: Platform | undefined): boolean {
  return platform !== undefined && platformText(platform) === ATTESTATION;
}
