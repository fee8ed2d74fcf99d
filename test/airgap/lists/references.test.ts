import t from 'tap';
import { ListError } from '../../../src/airgap/lists/list-error.ts';
import { mergeWanted } from '../../../src/airgap/lists/merge-wanted.ts';
import { parseReferences } from '../../../src/airgap/lists/references.ts';
import type { WantedImage } from '../../../src/airgap/wanted-image.ts';
import type { PlatformChoice } from '../../../src/oci/platform.ts';
import { lineOf, read } from './read.ts';

const amd64 = { os: 'linux', architecture: 'amd64' };
const arm64 = { os: 'linux', architecture: 'arm64' };

t.test('references of a command line', async (t) => {
  const images = parseReferences(['alpine', 'ghcr.io/a/b:1']);
  t.same(images.map(lineOf), [
    'the command line docker.io/library/alpine:latest',
    'the command line ghcr.io/a/b:1',
  ]);
  t.same(parseReferences([]), []);
});

t.test('all that are none are told', async (t) => {
  try {
    parseReferences(['alpine', 'B', '', 'alpine linux/amd64']);
    t.fail('taken');
  } catch (error) {
    t.type(error, ListError);
    t.match(error, {
      problems: [
        /^"B" is no reference/,
        /^a reference is empty/,
        /^"alpine linux\/amd64" is .* white space$/,
      ],
    });
  }
});

function wish(text: string, platforms?: PlatformChoice): WantedImage[] {
  return parseReferences([text]).map((image) => ({ ...image, platforms }));
}

t.test('wishes for one image become one', async (t) => {
  const wishes = [
    ...wish('alpine', [amd64]),
    ...wish('redis', [amd64]),
    ...wish('docker.io/library/alpine:latest', [arm64, amd64]),
    ...wish('redis:latest', 'all'),
    ...wish('redis', [arm64]),
  ];
  t.same(mergeWanted(wishes).map(lineOf), [
    'the command line docker.io/library/alpine:latest linux/amd64,linux/arm64',
    'the command line docker.io/library/redis:latest all',
  ]);
  t.same(wishes[0]?.platforms, [amd64], 'what was given is left as it was');
  t.equal(mergeWanted(read('a\nb\na\n', 'list.txt').images)[0]?.at, 'list.txt:1');
});

t.test('a wish that says no platforms stays one, unless it is said what it stands for', async (t) => {
  const wishes = [...wish('alpine'), ...wish('alpine', [arm64]), ...wish('alpine')];
  t.same(
    mergeWanted(wishes).map(({ platforms }) => platforms),
    [undefined, [arm64]],
  );
  t.same(
    mergeWanted(wishes, [amd64]).map(({ platforms }) => platforms),
    [[amd64, arm64]],
  );
  t.same(
    mergeWanted(wishes, 'all').map(({ platforms }) => platforms),
    ['all'],
  );
});
