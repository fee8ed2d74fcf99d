import t from 'tap';
import { type Bound, type Cell, runCells } from './cells.ts';
import { manifest, runManifestCell } from './manifest-cells.ts';

const M = manifest.body.length;
const HALF = M >> 1;
const PAGE = 39; // bytes of HTML
const GZIPPED: Bound = [0, 12 * M];
const SOME: Bound = [2, 12]; // requests until it is given up

const NOT_SIGNED = 'a registry that serves manifests itself signs no address';
const NOT_RESUMED = 'a manifest is asked for whole, and never gone on with';

const byDigest: readonly Cell[] = [
  ['reset', 'first byte', ['whole', 2, M, 'stored'], [503, SOME, 0, 'nothing']],
  ['reset', 'middle', ['whole', 2, HALF + M, 'stored'], [503, SOME, [2 * HALF, 12 * HALF], 'nothing']],
  ['reset', 'last byte', ['whole', 2, 2 * M - 1, 'stored'], [503, SOME, [2 * M - 2, 12 * M], 'nothing']],
  ['short', 'first byte', ['whole', 2, M, 'stored'], [503, SOME, 0, 'nothing']],
  ['short', 'middle', ['whole', 2, HALF + M, 'stored'], [503, SOME, [2 * HALF, 12 * HALF], 'nothing']],
  ['short', 'last byte', ['whole', 2, 2 * M - 1, 'stored'], [503, SOME, [2 * M - 2, 12 * M], 'nothing']],
  ['silent', 'first byte', ['whole', 2, M, 'stored'], [504, SOME, 0, 'nothing']],
  ['silent', 'middle', ['whole', 2, HALF + M, 'stored'], [504, SOME, [2 * HALF, 12 * HALF], 'nothing']],
  ['silent', 'last byte', ['whole', 2, 2 * M - 1, 'stored'], [504, SOME, [2 * M - 2, 12 * M], 'nothing']],
  ['corrupt', 'first byte', ['whole', 2, 2 * M, 'stored'], [502, 2, 2 * M, 'nothing']],
  ['corrupt', 'middle', ['whole', 2, 2 * M, 'stored'], [502, 2, 2 * M, 'nothing']],
  ['corrupt', 'last byte', ['whole', 2, 2 * M, 'stored'], [502, 2, 2 * M, 'nothing']],
  ['wrong length', 'first byte', ['whole', 2, M, 'stored'], [502, 2, 0, 'nothing']],
  ['wrong length', 'middle', ['whole', 2, HALF + M, 'stored'], [502, 2, 2 * HALF, 'nothing']],
  ['wrong length', 'last byte', ['whole', 2, 2 * M - 1, 'stored'], [502, 2, 2 * M - 2, 'nothing']],
  ['5xx', 'first byte', ['whole', 2, M, 'stored'], [502, SOME, 0, 'nothing']],
  ['5xx', 'middle', NOT_RESUMED, NOT_RESUMED],
  ['5xx', 'last byte', NOT_RESUMED, NOT_RESUMED],
  ['slow headers', 'first byte', ['whole', 2, M, 'stored'], [504, SOME, 0, 'nothing']],
  ['slow headers', 'middle', NOT_RESUMED, NOT_RESUMED],
  ['slow headers', 'last byte', NOT_RESUMED, NOT_RESUMED],
  ['expired URL', 'first byte', NOT_SIGNED, NOT_SIGNED],
  ['expired URL', 'middle', NOT_SIGNED, NOT_SIGNED],
  ['expired URL', 'last byte', NOT_SIGNED, NOT_SIGNED],
  ['no ranges', 'first byte', NOT_RESUMED, NOT_RESUMED],
  ['no ranges', 'middle', NOT_RESUMED, NOT_RESUMED],
  ['no ranges', 'last byte', NOT_RESUMED, NOT_RESUMED],
  // A part that nobody asked for.
  [
    'wrong Content-Range',
    'first byte',
    ['whole', 2, 2 * M - 1, 'stored'],
    [502, SOME, [2 * M - 2, 12 * M], 'nothing'],
  ],
  ['wrong Content-Range', 'middle', NOT_RESUMED, NOT_RESUMED],
  ['wrong Content-Range', 'last byte', NOT_RESUMED, NOT_RESUMED],
  ['gzip-encoded', 'first byte', ['whole', 2, [M, 2 * M], 'stored'], [502, SOME, GZIPPED, 'nothing']],
  ['gzip-encoded', 'middle', NOT_RESUMED, NOT_RESUMED],
  ['gzip-encoded', 'last byte', NOT_RESUMED, NOT_RESUMED],
  ['HTML with 200', 'first byte', ['whole', 2, M + PAGE, 'stored'], [502, 2, 2 * PAGE, 'nothing']],
  ['HTML with 200', 'middle', NOT_RESUMED, NOT_RESUMED],
  ['HTML with 200', 'last byte', NOT_RESUMED, NOT_RESUMED],
];

const WHO_IS_WRONG =
  'the registry says one digest and its bytes say another, always: the bytes decide, as ever';
const LEAVES_A_MANIFEST = ['corrupt, middle', 'wrong length, last byte'];

/** What is left may be a manifest, of another digest than the registry's own `Docker-Content-Digest`: asked for again. */
const byTag = byDigest.map((cell): Cell => {
  const [fault, place, once] = cell;
  return LEAVES_A_MANIFEST.includes(`${fault}, ${place}`) ? [fault, place, once, WHO_IS_WRONG] : cell;
});

t.test('a manifest by digest', async (t) => {
  runCells(t, byDigest, (t, cell) => runManifestCell(t, manifest.digest, cell));
});

t.test('a manifest by tag', async (t) => {
  runCells(t, byTag, (t, cell) => runManifestCell(t, 'latest', cell));
});
