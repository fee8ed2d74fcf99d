import { constants, createZstdCompress, gzipSync, zstdCompressSync } from 'node:zlib';
import t from 'tap';
import { ArchiveError } from '../../../src/airgap/archives/archive-error.ts';
import { type ArchiveLimits, readArchive } from '../../../src/airgap/archives/read-archive.ts';
import { collect, inPieces } from './memory-content.ts';
import { paxEntry, rawEntry, rawTar } from './raw-tar.ts';

const LIMITS: ArchiveLimits = { maxBytes: 1_000_000, maxEntries: 100 };

/** @returns `path: content` and `path -> target` of all entries */
async function list(bytes: Buffer, { pieces = 100, limits = LIMITS } = {}): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of readArchive(inPieces(bytes, pieces), limits)) {
    if (entry.kind === 'link') found.push(`${entry.path} -> ${entry.target}`);
    else found.push(`${entry.path}: ${await collect(entry.body)}`);
  }
  return found;
}

const base256 = (...bytes: number[]) =>
  Buffer.concat([Buffer.from([0x80]), Buffer.alloc(11 - bytes.length), Buffer.from(bytes)]);
const file = { path: 'a', body: 'content of a' };
const long = `blobs/sha512/${'0123456789abcdef'.repeat(8)}`;

t.test('entries of every legal kind', async (t) => {
  const cases: [what: string, archive: Buffer, wanted: string[]][] = [
    ['nothing', rawTar(), []],
    ['a file', rawTar(file), ['a: content of a']],
    ['an empty file', rawTar({ path: 'a' }, { path: 'b', body: 'x' }), ['a: ', 'b: x']],
    [
      'a file of whole blocks',
      rawTar({ path: 'a', body: 'x'.repeat(1024) }, { path: 'b' }),
      [`a: ${'x'.repeat(1024)}`, 'b: '],
    ],
    ['of old archives', rawTar({ ...file, type: '\0' }), ['a: content of a']],
    ['a name with a dot before it', rawTar({ ...file, path: './a' }), ['a: content of a']],
    ['a name in two parts', rawTar({ ...file, prefix: 'x/y' }), ['x/y/a: content of a']],
    [
      'directories, also twice',
      rawTar({ path: './', type: '5' }, { path: 'd/', type: '5' }, { path: 'd', type: '5' }, file),
      ['a: content of a'],
    ],
    [
      'a link to a neighbour',
      rawTar({ path: 'x/layer.tar', type: '2', link: '../y/layer.tar' }),
      ['x/layer.tar -> y/layer.tar'],
    ],
    [
      'a long name (POSIX)',
      rawTar(paxEntry(['mtime=1.5', `path=${long}`, 'comment=a=b\nc']), file),
      [`${long}: content of a`],
    ],
    [
      'a long name (GNU)',
      rawTar({ path: '././@LongLink', type: 'L', body: `${long}\0` }, file),
      [`${long}: content of a`],
    ],
    [
      'a long link (GNU)',
      rawTar({ path: '././@LongLink', type: 'K', body: `${long}\0` }, { path: 'l', type: '2', link: 'cut' }),
      [`l -> ${long}`],
    ],
    [
      'a size in the extended header',
      rawTar(
        paxEntry(['size=12']),
        Buffer.concat([rawEntry({ path: 'a', size: '00000000000\0' }), rawEntry(file).subarray(512)]),
      ),
      ['a: content of a'],
    ],
    [
      'a size in base 256',
      rawTar(Buffer.concat([rawEntry({ path: 'a', size: base256(12) }), rawEntry(file).subarray(512)])),
      ['a: content of a'],
    ],
    ['a global header', rawTar(paxEntry(['comment=of git'], 'g'), file), ['a: content of a']],
    ['zeros after the end', Buffer.concat([rawTar(file), Buffer.alloc(20_000)]), ['a: content of a']],
  ];
  for (const [what, archive, wanted] of cases) {
    t.same(await list(archive), wanted, what);
    t.same(await list(archive, { pieces: 1 }), wanted, `${what}, byte by byte`);
    t.same(await list(gzipSync(archive)), wanted, `${what}, gzip`);
    t.same(await list(zstdCompressSync(archive)), wanted, `${what}, zstd`);
  }
});

t.test('compressed in parts', async (t) => {
  const archive = rawTar(file, { path: 'b', body: 'x'.repeat(3000) });
  const wanted = ['a: content of a', `b: ${'x'.repeat(3000)}`];
  for (const compress of [gzipSync, zstdCompressSync]) {
    const parts = [archive.subarray(0, 700), archive.subarray(700, 701), archive.subarray(701)].map((part) =>
      compress(part),
    );
    for (const pieces of [1, 7, parts[0]?.length ?? 0, 100_000])
      t.same(await list(Buffer.concat(parts), { pieces }), wanted, `${compress.name}, pieces of ${pieces}`);
    t.same(
      await list(Buffer.concat([...parts, Buffer.alloc(5000)]), { pieces: 1000 }),
      wanted,
      'zeros after it',
    );
  }
});

t.test('what is refused', async (t) => {
  const good = rawTar(file);
  const cases: [what: string, archive: Buffer, wanted: RegExp][] = [
    [
      'an absolute path',
      rawTar({ ...file, path: '/etc/passwd' }),
      /^\/etc\/passwd: the name is an absolute path/,
    ],
    ['a path out of it', rawTar({ ...file, path: '../a' }), /^\.\.\/a: the name leads out/],
    ['a path out of it, in the middle', rawTar({ ...file, path: 'blobs/../../a' }), /leads out/],
    ['a path out of it, in the prefix', rawTar({ ...file, prefix: '../x' }), /leads out/],
    ['a path out of it (POSIX)', rawTar(paxEntry(['path=x/../../a']), file), /leads out/],
    ['a path out of it (GNU)', rawTar({ path: 'L', type: 'L', body: '../../a' }, file), /leads out/],
    ['a directory out of it', rawTar({ path: '../d', type: '5' }), /leads out/],
    ['a NUL in the name', rawTar(paxEntry(['path=a\0b']), file), /has a NUL in it/],
    ['a backslash in the name', rawTar({ ...file, path: '..\\a' }), /has a backslash/],
    ['no name', rawTar({ ...file, path: '' }), /has no name/],
    ['the root as a file', rawTar({ ...file, path: './' }), /has no name|claims to have content/],
    [
      'a name that is too long',
      rawTar(paxEntry([`path=${'x'.repeat(600)}`]), file),
      /^x{200}…: the name is too long/,
    ],
    ['a name that would steer a terminal', rawTar({ ...file, path: '../\u001b[2J' }), /^\.\.\/\ufffd\[2J: /],
    ['a link out of it', rawTar({ path: 'x/l', type: '2', link: '../../y' }), /^x\/l: the link leads out/],
    ['an absolute link', rawTar({ path: 'l', type: '2', link: '/etc/passwd' }), /^l: the link leads out/],
    ['a link with a backslash', rawTar({ path: 'l', type: '2', link: '..\\y' }), /the link leads out/],
    ['a link to nothing', rawTar({ path: 'l', type: '2' }), /the link leads out/],
    [
      'a link out of it (POSIX)',
      rawTar(paxEntry(['linkpath=../y']), { path: 'l', type: '2', link: 'fine' }),
      /the link leads out/,
    ],
    ['a hard link', rawTar(file, { path: 'b', type: '1', link: 'a' }), /^b: is a hard link/],
    ['a character device', rawTar({ path: 'd', type: '3' }), /^d: is a device/],
    ['a block device', rawTar({ path: 'd', type: '4' }), /^d: is a device/],
    ['a fifo', rawTar({ path: 'f', type: '6' }), /^f: is a fifo/],
    ['a sparse file (GNU)', rawTar({ ...file, type: 'S' }), /^a: is a sparse file/],
    ['a sparse file (POSIX)', rawTar(paxEntry(['GNU.sparse.major=1']), file), /is a sparse file/],
    ['an unknown type', rawTar({ ...file, type: 'Z' }), /^a: is of an unknown type/],
    ['a volume header', rawTar({ path: 'v', type: 'V' }), /^v: is of an unknown type/],
    ['a name twice', rawTar(file, { path: './a' }), /^a: is in the archive twice/],
    [
      'a name twice, once as a link',
      rawTar(file, { path: 'a', type: '2', link: 'b' }),
      /^a: is in the archive twice/,
    ],
    [
      'a file by the name of a directory',
      rawTar({ path: 'a/', type: '5' }, file),
      /^a: is in the archive twice/,
    ],
    [
      'a directory with content',
      rawTar({ path: 'd', type: '5', body: rawEntry(file) }),
      /^d: claims to have content/,
    ],
    [
      'a link with content',
      rawTar({ path: 'l', type: '2', link: 'x', body: 'x' }),
      /^l: claims to have content/,
    ],
    [
      'a size that is larger than the content',
      rawTar({ ...file, size: '00000003000\0' }, { path: 'b' }),
      /checksum|cut off/,
    ],
    [
      'a size that is smaller than the content',
      rawTar({ path: 'a', body: 'x'.repeat(2000), size: '00000000100\0' }),
      /checksum/,
    ],
    [
      'a size that is huge',
      rawTar({ ...file, size: base256(0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) }),
      /^a: the archive ends in the middle/,
    ],
    [
      'a size that is out of range',
      rawTar({ ...file, size: base256(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) }),
      /number that is out of range/,
    ],
    ['a negative size', rawTar({ ...file, size: Buffer.alloc(12, 0xff) }), /says no size/],
    ['a negative size in octal', rawTar({ ...file, size: '-0000000014\0' }), /says no size/],
    ['no size', rawTar({ ...file, size: '            ' }), /says no size/],
    ['two sizes', rawTar(paxEntry(['size=13']), file), /two different sizes/],
    [
      'a size in the extended header that lies',
      rawTar(
        paxEntry(['size=2000']),
        Buffer.concat([rawEntry({ path: 'a', size: '00000000000\0' }), rawEntry(file).subarray(512)]),
      ),
      /cut off|checksum/,
    ],
    [
      'a size in the extended header that is none',
      rawTar(paxEntry(['size=-5']), file),
      /extended header is broken/,
    ],
    [
      'a size in the extended header that is out of range',
      rawTar(paxEntry(['size=9999999999999999']), file),
      /extended header is broken/,
    ],
    [
      'a record whose length lies',
      rawTar({ path: 'P', type: 'x', body: '99 path=b\n' }, file),
      /extended header is broken/,
    ],
    [
      'a record without length',
      rawTar({ path: 'P', type: 'x', body: 'path=b\n' }, file),
      /extended header is broken/,
    ],
    ['a record without value', rawTar(paxEntry(['path']), file), /extended header is broken/],
    ['two names in one header', rawTar(paxEntry(['path=b', 'path=c']), file), /extended header is broken/],
    [
      'two names in two headers',
      rawTar(paxEntry(['path=b']), { path: 'L', type: 'L', body: 'c' }, file),
      /different things/,
    ],
    [
      'a huge extended header',
      rawTar({ path: 'P', type: 'x', body: 'x'.repeat(2 ** 20 + 1) }),
      /extended header is too large|more than 1000000 bytes/,
    ],
    ['a global header with a name', rawTar(paxEntry(['path=b'], 'g'), file), /global header changes/],
    ['an extended header of nothing', rawTar(file, paxEntry(['path=b'])), /belongs to nothing/],
    ['a wrong checksum', rawTar({ ...file, checksumOff: 1 }), /checksum of a header is wrong/],
    ['garbage', Buffer.from('this is not an archive '.repeat(100)), /no tar archive/],
    ['a little garbage', Buffer.from('PK'), /cut off/],
    ['nothing at all', Buffer.alloc(0), /cut off/],
    ['no end mark', rawEntry(file), /without its end mark/],
    ['half of an end mark', Buffer.concat([rawEntry(file), Buffer.alloc(512)]), /without its end mark/],
    ['a hole', Buffer.concat([rawEntry(file), Buffer.alloc(512), rawTar({ path: 'b' })]), /has a hole/],
    ['a second archive after it', Buffer.concat([good, rawTar({ path: 'b' })]), /something follows/],
    ['garbage after it', Buffer.concat([good, Buffer.from('x')]), /something follows/],
    [
      'garbage long after it',
      Buffer.concat([good, Buffer.alloc(200_000), Buffer.from('x')]),
      /something follows/,
    ],
    ['gzip, cut off', gzipSync(good).subarray(0, -4), /gzip data is damaged or was cut off/],
    [
      'gzip, damaged',
      Buffer.concat([gzipSync(good).subarray(0, 40), Buffer.alloc(40, 7)]),
      /gzip data is damaged/,
    ],
    ['gzip and garbage', Buffer.concat([gzipSync(good), Buffer.from('garbage')]), /gzip data is damaged/],
    [
      'gzip, zeros and garbage',
      Buffer.concat([gzipSync(good), Buffer.alloc(300), Buffer.from('garbage')]),
      /something follows/,
    ],
    [
      'gzip, zeros and more gzip',
      Buffer.concat([gzipSync(good), Buffer.alloc(9), gzipSync(good)]),
      /something follows/,
    ],
    ['gzip of garbage', gzipSync('x'.repeat(5000)), /no tar archive/],
    ['zstd, cut off', zstdCompressSync(good).subarray(0, -4), /zstd data is damaged or was cut off/],
    [
      'zstd and garbage',
      Buffer.concat([zstdCompressSync(good), Buffer.from('garbage')]),
      /something follows|zstd data is damaged/,
    ],
    [
      'zstd, zeros and garbage',
      Buffer.concat([zstdCompressSync(good), Buffer.alloc(300), Buffer.from('garbage')]),
      /something follows|zstd data is damaged/,
    ],
    ['compressed twice', gzipSync(gzipSync(good)), /no tar archive|cut off/],
    [
      'a bomb (gzip)',
      gzipSync(rawTar({ path: 'a', body: Buffer.alloc(2_000_000) })),
      /more than 1000000 bytes when unpacked/,
    ],
    [
      'a bomb (zstd)',
      zstdCompressSync(rawTar({ path: 'a', body: Buffer.alloc(2_000_000) })),
      /more than 1000000 bytes when unpacked/,
    ],
    [
      'a bomb of zeros after the end',
      gzipSync(Buffer.concat([good, Buffer.alloc(2_000_000)])),
      /more than 1000000 bytes when unpacked/,
    ],
    [
      'too many entries',
      rawTar(...Array.from({ length: 101 }, (_, at) => ({ path: `f${at}` }))),
      /more than 100 entries/,
    ],
    [
      'too many directories',
      rawTar(...Array.from({ length: 101 }, () => ({ path: 'd', type: '5' }))),
      /more than 100 entries/,
    ],
  ];
  for (const [what, archive, wanted] of cases) {
    for (const pieces of [1_000_000, 511]) {
      const failure = await list(archive, { pieces }).then(
        () => new Error('it was taken'),
        (error) => error,
      );
      t.ok(failure instanceof ArchiveError, `${what}: ${failure.message}`);
      t.match(failure.message, wanted, what);
    }
  }
});

t.test('a frame that would need much memory is refused', async (t) => {
  const archive = rawTar({ path: 'a', body: Buffer.alloc(900_000, 'random') });
  const { ZSTD_c_windowLog: windowLog, ZSTD_c_enableLongDistanceMatching: long } = constants;
  const frame = (log: number): Promise<string[]> => {
    const compressor = createZstdCompress({ params: { [windowLog]: log, [long]: 1 } });
    compressor.end(archive);
    return collect(compressor).then((bytes) => list(bytes));
  };
  t.equal((await frame(24)).length, 1);
  await t.rejects(frame(27), /^the zstd data needs a window of more than 32 MiB; compress/);
});

t.test('cut off anywhere it is refused', async (t) => {
  const archive = rawTar(file, paxEntry([`path=${long}`]), { path: 'b', body: 'x'.repeat(600) });
  for (const [kind, bytes] of Object.entries({
    plain: archive,
    gzip: gzipSync(archive),
    zstd: zstdCompressSync(archive),
  })) {
    const taken: number[] = [];
    for (let length = 0; length < bytes.length; length += 1) {
      const failure = await list(bytes.subarray(0, length), { pieces: 4096 }).then(
        () => undefined,
        (error) => error,
      );
      if (!(failure instanceof ArchiveError)) taken.push(length);
    }
    t.same(taken, [], kind);
    t.ok(await list(bytes), `${kind}, whole`);
  }
});

t.test('what is not read is passed over', async (t) => {
  const archive = rawTar(
    { path: 'a', body: 'x'.repeat(5000) },
    { path: 'b', body: 'y'.repeat(3000) },
    { path: 'c', body: 'z' },
  );
  const paths: string[] = [];
  let left: AsyncIterable<Buffer> | undefined;
  for await (const entry of readArchive(inPieces(archive, 300), LIMITS)) {
    paths.push(entry.path);
    if (entry.kind !== 'file') continue;
    if (entry.path === 'a') left = entry.body;
    if (entry.path === 'b') for await (const _ of entry.body) break;
    if (entry.path === 'c') t.equal(String(await collect(entry.body)), 'z');
  }
  t.same(paths, ['a', 'b', 'c']);
  t.ok(left);
});

t.test('an entry that is over gives nothing', async (t) => {
  const archive = rawTar({ path: 'a', body: 'x'.repeat(5000) }, { path: 'b', body: 'y' });
  const entries = readArchive(inPieces(archive, 300), LIMITS);
  const { value: first } = await entries.next();
  if (first?.kind !== 'file') return t.fail('a file was there');
  const body = first.body[Symbol.asyncIterator]();
  await body.next();
  await entries.next();
  await t.rejects(Promise.resolve(body.next()), /this entry is over/);
});

t.test('no more is read than is asked for, and the input is let go of', async (t) => {
  const archive = rawTar({ path: 'a', body: Buffer.alloc(500_000) }, { path: 'b' });
  for (const bytes of [archive, gzipSync(archive, { level: 0 }), zstdCompressSync(archive)]) {
    let given = 0;
    let isClosed = false;
    async function* input(): AsyncGenerator<Buffer> {
      try {
        for await (const piece of inPieces(bytes, 1000)) {
          given += piece.length;
          yield piece;
        }
      } finally {
        isClosed = true;
      }
    }
    const entries = readArchive(input(), LIMITS);
    await entries.next();
    t.ok(given < 300_000, `${given} bytes were read for the first header`);
    await entries.return();
    t.ok(isClosed);
  }
});

t.test('who stops does not wait for an input that stalls', async (t) => {
  const archive = rawTar({ path: 'a', body: Buffer.alloc(5000) }, { path: 'b' });
  for (const bytes of [archive, gzipSync(archive, { level: 0 })]) {
    async function* input(): AsyncGenerator<Buffer> {
      yield bytes.subarray(0, 3000);
      await new Promise(() => undefined);
    }
    const entries = readArchive(input(), LIMITS);
    t.match(await entries.next(), { value: { path: 'a' } });
    await entries.return();
    t.pass('it ended');
  }
});

t.test('what the input throws is thrown', async (t) => {
  const archive = rawTar({ path: 'a', body: Buffer.alloc(5000, 'random') });
  for (const bytes of [archive, gzipSync(archive), zstdCompressSync(archive)]) {
    async function* input(): AsyncGenerator<Buffer> {
      yield bytes.subarray(0, 20);
      throw new Error('the stick was pulled out');
    }
    await t.rejects(collect(entriesOf(input())), { message: 'the stick was pulled out' });
  }
});

async function* entriesOf(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const entry of readArchive(input, LIMITS)) if (entry.kind === 'file') yield* entry.body;
}
