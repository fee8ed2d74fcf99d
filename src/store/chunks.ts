/** Owns copying out of content that lies in memory in pieces. */

/**
 * @param chunks follow each other without gaps
 * @param start offset of the first one's first byte
 * @param position offset to copy from, not before `start`
 * @param length at most this much, and no more than is there
 * @returns bytes copied
 */
export function copyChunks(
  chunks: readonly Buffer[],
  start: number,
  target: Buffer,
  position: number,
  length: number,
): number {
  let offset = start;
  let copied = 0;
  for (const chunk of chunks) {
    if (copied >= length) break;
    const from = position + copied - offset;
    if (from < chunk.length)
      copied += chunk.copy(target, copied, from, from + Math.min(chunk.length - from, length - copied));
    offset += chunk.length;
  }
  return copied;
}
