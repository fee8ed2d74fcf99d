/** Owns tar archives made by hand, block by block: also such as no program would write. */
import { END_MARK, padding } from '../../../src/airgap/archives/tar-blocks.ts';

export interface RawEntry {
  path: string;
  /** the type byte; a file unless given */
  type?: string;
  link?: string;
  body?: Buffer | string;
  /** what the header says, in octal, where it is not the body's length */
  size?: string | Buffer;
  /** added to the right checksum */
  checksumOff?: number;
  prefix?: string;
}

/** @returns a header and its body, padded */
export function rawEntry({
  path,
  type = '0',
  link = '',
  body = '',
  size,
  checksumOff = 0,
  prefix = '',
}: RawEntry): Buffer {
  const bytes = Buffer.from(body);
  const block = Buffer.alloc(512);
  block.write(path, 0, 100);
  block.write('0000644\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  Buffer.from(size ?? `${bytes.length.toString(8).padStart(11, '0')}\0`).copy(block, 124, 0, 12);
  block.write('00000000000\0', 136);
  block.write(type, 156);
  block.write(link, 157, 100);
  block.write('ustar\x0000', 257, 'latin1');
  block.write(prefix, 345, 155);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0) + checksumOff;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([block, bytes, padding(bytes.length)]);
}

/** @returns an extended header with these records; their lengths are right */
export function paxEntry(records: readonly string[], type = 'x'): Buffer {
  return rawEntry({ path: 'PaxHeader', type, body: records.map(paxRecord).join('') });
}

/** @returns `LENGTH KEY=VALUE\n` */
export function paxRecord(record: string): string {
  const rest = ` ${record}\n`;
  const bytes = Buffer.byteLength(rest);
  let length = bytes + 1;
  while (String(length).length + bytes !== length) length += 1;
  return `${length}${rest}`;
}

/** @returns the archive, with its end mark */
export function rawTar(...entries: (RawEntry | Buffer)[]): Buffer {
  return Buffer.concat([
    ...entries.map((entry) => (Buffer.isBuffer(entry) ? entry : rawEntry(entry))),
    END_MARK,
  ]);
}
