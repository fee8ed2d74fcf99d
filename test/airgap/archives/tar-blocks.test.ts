import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { StreamReader } from '../../../src/airgap/archives/byte-reader.ts';
import {
  directoryHead,
  END_MARK,
  fileHead,
  padding,
  storedBytes,
} from '../../../src/airgap/archives/tar-blocks.ts';
import { readHeader } from '../../../src/airgap/archives/tar-header.ts';
import { runProgram } from '../../helpers/engines/program.ts';
import { inPieces } from './memory-content.ts';

const SHA512 = `blobs/sha512/${'0123456789abcdef'.repeat(8)}`;

t.test('headers are read as they were written, whatever the name and size', async (t) => {
  for (const path of ['a', 'index.json', `blobs/sha256/${'f'.repeat(64)}`, SHA512])
    for (const size of [0, 1, 511, 512, 2 ** 33 - 1, 2 ** 33, 2 ** 43 + 7]) {
      const head = fileHead(path, size);
      t.same(await readHeader(new StreamReader(inPieces(head), 1e6)), { kind: 'file', path, size });
      t.equal(storedBytes(path, size) % 512, 0);
      t.equal(storedBytes(path, size), head.length + size + padding(size).length);
      t.ok(head.equals(fileHead(path, size)), 'the same bytes each time');
    }
});

t.test('tar itself reads them', async (t) => {
  const path = join(t.testdir(), 'a.tar');
  await writeFile(
    path,
    Buffer.concat([directoryHead('blobs'), fileHead(SHA512, 3), Buffer.from('abc'), padding(3), END_MARK]),
  );
  const { code, stdout, stderr } = await runProgram(t, 'tar', [
    '--list',
    '--verbose',
    '--numeric-owner',
    '--utc',
    '--file',
    path,
  ]);
  t.same([code, stderr], [0, '']);
  t.match(
    stdout,
    /^drwxr-xr-x 0\/0 +0 1970-01-01 00:00 blobs\/\n-rw-r--r-- 0\/0 +3 1970-01-01 00:00 blobs\/sha512\/[0-9a-f]{128}\n$/,
  );
});
