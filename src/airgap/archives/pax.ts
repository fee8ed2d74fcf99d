/** Owns the reading of extended headers of tar (POSIX pax, "pax Extended Header"): only what images need, nothing that lies. */
import { ArchiveError } from './archive-error.ts';

/** What an extended header says about the entry after it. */
export interface PaxRecords {
  path?: string;
  linkpath?: string;
  /** bytes */
  size?: number;
}

/**
 * Reads records `LENGTH KEY=VALUE\n`. The `Pax` of node-tar passes over broken ones; here they refuse the archive, as two
 * programs could read two archives in one file.
 * @throws ArchiveError
 */
export function parsePax(body: Buffer, entry: string): PaxRecords {
  const records: PaxRecords = {};
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const length = Number(space < 0 ? Number.NaN : body.toString('latin1', at, space));
    const end = at + length;
    const isWhole = Number.isSafeInteger(length) && end > space + 1 && end <= body.length;
    if (!isWhole || body[end - 1] !== 0x0a) throw broken(entry);
    take(records, body.toString('utf8', space + 1, end - 1), entry);
    at = end;
  }
  return records;
}

function take(records: PaxRecords, record: string, entry: string): void {
  const equals = record.indexOf('=');
  if (equals <= 0) throw broken(entry);
  const [key, value] = [record.slice(0, equals), record.slice(equals + 1)];
  if (key.startsWith('GNU.sparse.'))
    throw new ArchiveError('is a sparse file, which no image archive has', entry);
  if (key === 'path' || key === 'linkpath') {
    if (records[key] !== undefined) throw broken(entry);
    records[key] = value;
  }
  if (key === 'size') {
    const size = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
    if (records.size !== undefined || !Number.isSafeInteger(size)) throw broken(entry);
    records.size = size;
  }
}

function broken(entry: string): ArchiveError {
  return new ArchiveError('the extended header is broken', entry);
}
