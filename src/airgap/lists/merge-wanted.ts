/** Owns how wishes for one image become one: several lists name it, each with platforms of its own. */
import { fullNameText } from '../../oci/image-name.ts';
import { type Platform, type PlatformChoice, platformText } from '../../oci/platform.ts';
import type { WantedImage } from '../wanted-image.ts';

/**
 * Unites wishes: each name once, in the order of its first mention, which `at` keeps. `all` wins over platforms;
 * platforms are united.
 * @param unsaid what a wish without platforms stands for. Where it is left out too, such wishes stay apart from those
 *   that name platforms, as an entry of their own: neither stands for the other.
 */
export function mergeWanted(images: readonly WantedImage[], unsaid?: PlatformChoice): WantedImage[] {
  const merged = new Map<string, WantedImage>();
  for (const { name, platforms: said, at } of images) {
    const platforms = said ?? unsaid;
    const key = `${fullNameText(name)} ${platforms === undefined ? 'unsaid' : ''}`;
    const known = merged.get(key);
    if (!known) merged.set(key, { name, platforms, at });
    else known.platforms = unite(known.platforms, platforms);
  }
  return [...merged.values()];
}

function unite(a: PlatformChoice | undefined, b: PlatformChoice | undefined): PlatformChoice | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (a === 'all' || b === 'all') return 'all';
  const each = new Map<string, Platform>([...a, ...b].map((platform) => [platformText(platform), platform]));
  return [...each.values()];
}
