/** Owns plain lists: a reference to a line, platforms after it, `#` comments. `hubcap misses --list` writes them. */
import { type Platform, type PlatformChoice, parsePlatform } from '../../oci/platform.ts';
import { type Findings, faultOfPlatform } from './findings.ts';
import { quoted } from './references.ts';

/**
 * Reads `REFERENCE [PLATFORM[,PLATFORM…]…]` from each line; `all` stands for every platform.
 * @param lines without their line ends
 */
export function readPlainList(lines: readonly string[], findings: Findings): void {
  lines.forEach((line, index) => {
    const [reference, ...words] = wordsOf(line);
    if (reference === undefined) return;
    const texts = words.flatMap((word) => word.split(',')).filter((text) => text !== '');
    const platforms = platformsOf(texts, index + 1, findings);
    findings.addImage(index + 1, reference, platforms);
  });
}

/** @returns the words of a line before its comment, which begins at the first word that begins with `#` */
function wordsOf(line: string): string[] {
  const words = line.split(/\s/).filter((word) => word !== '');
  const comment = words.findIndex((word) => word.startsWith('#'));
  return comment < 0 ? words : words.slice(0, comment);
}

function platformsOf(texts: readonly string[], line: number, findings: Findings): PlatformChoice | undefined {
  if (texts.length === 0) return undefined;
  if (texts.includes('all')) {
    if (texts.length > 1) findings.addProblem(line, '"all" stands for every platform; leave out the others');
    return 'all';
  }
  return texts.flatMap((text): Platform[] => {
    const platform = parsePlatform(text);
    if (!platform) findings.addProblem(line, faultInPlatforms(text));
    return platform ? [platform] : [];
  });
}

function faultInPlatforms(text: string): string {
  // `docker images` prints the tag in a column of its own.
  if (!text.includes('/')) {
    return `${quoted(text)} after the reference is no platform; write a tag as name:tag, a platform as linux/amd64, and a comment after #`;
  }
  return faultOfPlatform(text);
}
