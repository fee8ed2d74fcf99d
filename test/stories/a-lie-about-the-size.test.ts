import t from 'tap';
import { blobOf, KIB, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Answer } from '../helpers/persona-server.ts';
import { blobDownloads, only, times } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';

const blob = blobOf(MIB, 'larger than the budget');
const path = `/v2/team/app/blobs/${blob.digest}`;
const LIES: readonly [what: string, body: Buffer][] = [
  ['a page', Buffer.from('<html>log in</html>')],
  ['something of 64 KiB', blobOf(64 * KIB, 'other').body],
  ['something larger than what is held back', blobOf(300 * KIB, 'other').body],
  ['the content, cut off', blob.body.subarray(0, 300 * KIB)],
];

for (const [what, body] of LIES) {
  t.test(
    `upstream sends ${what} that fits, then content that does not: nothing false is complete`,
    async (t) => {
      const registry = await startRegistry(t);
      registry.push('team/app', blob);
      const lie: Answer = { status: 200, body };
      const upstreams = { 'registry.test': { at: registry } };
      const mirror = await startMirror(t, { upstreams, maxBytes: 512 * KIB });
      registry.act(
        only(
          blobDownloads,
          times(1, () => lie),
        ),
      );
      const clients = await Promise.all([1, 2, 3].map(() => mirror.get(path)));
      for (const { status, isComplete, body } of clients) {
        const isRight = status === 200 && isComplete && body.equals(blob.body);
        t.ok(isRight || status >= 500 || !isComplete, `${status}, ${isComplete}, ${body.length} bytes`);
      }
      const { status, body: later } = await mirror.get(path);
      t.ok(status === 200 && later.equals(blob.body), 'who comes later gets it');
      await mirror.settled();
      t.match(mirror.status().store, { bytes: 0, reservedBytes: 0 });
    },
  );
}
