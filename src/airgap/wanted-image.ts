/** Owns what an image list asks for, whatever kind of file it stands in. */
import type { FullImageName } from '../oci/image-name.ts';
import type { PlatformChoice } from '../oci/platform.ts';

/** One image of a list. */
export interface WantedImage {
  name: FullImageName;
  /** where the list says which; undefined leaves it to whoever reads the list */
  platforms: PlatformChoice | undefined;
  /** where it stands, for messages: `compose.yaml:12` */
  at: string;
}
