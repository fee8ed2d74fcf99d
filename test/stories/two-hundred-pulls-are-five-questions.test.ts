import t from 'tap';
import { makeClock } from '../helpers/clock.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';

const image = imageOf('app', [100]);
const latest = '/v2/team/app/manifests/latest';
const TTL_MS = 60_000;

for (const staleWhileRevalidateMs of [0, 3 * TTL_MS]) {
  t.test(`200 pulls of one tag over four of its times, ${staleWhileRevalidateMs} ms behind`, async (t) => {
    const clock = makeClock();
    const registry = await startRegistry(t);
    registry.push('team/app', image, 'latest');
    const mirror = await startMirror(t, {
      upstreams: { 'registry.test': { at: registry, tagTtlMs: TTL_MS, staleWhileRevalidateMs } },
      now: clock.now,
    });
    t.equal((await mirror.manifest(latest)).status, 200);
    for (let period = 0; period < 4; period++) {
      clock.pass(TTL_MS);
      const pulls = Array.from({ length: 50 }, async (_, n) => {
        const { headers } = await mirror.head(latest);
        const digest = headers['docker-content-digest'];
        return await mirror.manifest(n % 2 === 0 ? latest : `/v2/team/app/manifests/${digest}`);
      });
      const received = await Promise.all(pulls);
      t.ok(received.every(({ status, body }) => status === 200 && body.equals(image.manifest.body)));
    }
    t.equal(registry.count('GET'), 1, 'the first pull');
    t.equal(registry.count('HEAD'), 4, 'one for each time');
  });
}
