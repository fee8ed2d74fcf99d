/** Owns how commands are told the platforms that are meant. */
import type { Argv } from 'yargs';
import {
  hostPlatform,
  type Platform,
  type PlatformChoice,
  parsePlatform,
  platformText,
} from '../oci/platform.ts';
import { oneValue } from './options.ts';

/** @returns what containers on this machine run as: `linux/amd64`, also where it is no Linux */
export function thisPlatform(): string {
  return platformText(hostPlatform(process.arch));
}

/** @param unsaid what holds where none are named, for the help */
export function withPlatformOption<T>(parser: Argv<T>, unsaid: string) {
  return parser
    .option('platform', {
      type: 'string',
      requiresArg: true,
      coerce: oneValue,
      describe: `of images for several platforms: linux/amd64,linux/arm64 or all (default: ${unsaid})`,
    })
    .check(({ platform }) => {
      for (const text of platform === undefined || platform === ALL ? [] : platform.split(',')) {
        if (!parsePlatform(text.trim()))
          throw new Error(
            `--platform: ${text} is no platform such as linux/amd64 or linux/arm/v7; or say all.`,
          );
      }
      return true;
    });
}

const ALL = 'all';

/** @param text checked before: `linux/amd64,linux/arm64`, `all` */
export function parsePlatforms(text: string): PlatformChoice {
  if (text === ALL) return ALL;
  return text.split(',').flatMap((one): Platform[] => {
    const platform = parsePlatform(one.trim());
    return platform ? [platform] : [];
  });
}

/** @returns as requests have them */
export function platformTexts(choice: PlatformChoice): 'all' | string[] {
  return choice === ALL ? ALL : choice.map(platformText);
}

/** @returns as requests have them, undefined where none are named */
export function requestedPlatforms(text: string | undefined): 'all' | string[] | undefined {
  return text === undefined ? undefined : platformTexts(parsePlatforms(text));
}
