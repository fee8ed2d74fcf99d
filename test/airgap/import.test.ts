/** What an archive brings is here as a whole, or nothing of it is. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { DaemonControl } from '../../src/admin/control-client.ts';
import type { ImportEvent, ImportRequest } from '../../src/airgap/commands.ts';
import { openLocalControl } from '../../src/local-control.ts';
import { blobOf, imageOf, imageWith, indexOf, KIB, MIB } from '../helpers/content.ts';
import { all, bytesOf, controlOf, endOf, exportOf, importOf, prewarmOf, sent } from '../helpers/control.ts';
import { calls, failDisk, hangDisk } from '../helpers/disk-faults.ts';
import {
  type MirrorSettings,
  makeConfig,
  makeDirectory,
  type RunningMirror,
  startMirror,
} from '../helpers/mirror.ts';
import { contentOf, type Registry, startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const NOWHERE = new URL('http://127.0.0.1:9');

/** A hubcap that reaches a registry, to export from. */
async function outside(t: Test, push: (registry: Registry) => void, settings: Partial<MirrorSettings> = {}) {
  const registry = await startRegistry(t);
  push(registry);
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } }, ...settings });
  const control = await controlOf(mirror);
  const bundleOf = async (references: string[], since: string[] = []): Promise<Buffer> => {
    const fetched = endOf(await all(control.prewarm(prewarmOf(references, { platforms: 'all' }))), 'report');
    if (fetched.failures.length > 0) throw new Error(JSON.stringify(fetched.failures));
    return await bytesOf((await control.export(exportOf(references, { since }))).bundle);
  };
  return { registry, mirror, control, bundleOf };
}

async function inside(t: Test, settings: Partial<MirrorSettings> = {}) {
  const upstreams = { 'docker.io': { at: NOWHERE } };
  const mirror = await startMirror(t, { upstreams, offline: true, ...settings });
  return { mirror, control: await controlOf(mirror) };
}

/** A registry that gives nothing to strangers, and how a hubcap asks it that has an account. */
async function guarded(t: Test) {
  const registry = await startRegistry(t);
  registry.act((asked, answer) =>
    asked.headers.authorization
      ? answer()
      : { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } },
  );
  const credentials = [{ username: 'someone', password: 'x' }] as never;
  return { registry, upstreams: { 'docker.io': { at: registry, credentials } } };
}

const take = (
  control: DaemonControl,
  file: Buffer,
  request: Partial<ImportRequest> = {},
): Promise<ImportEvent[]> => all(control.import(importOf(request), sent(file)));

const stored = (mirror: RunningMirror): number => mirror.status().store.objects;

async function referencesOf(control: DaemonControl): Promise<string[]> {
  const references: string[] = [];
  for await (const { reference, state } of control.images()) references.push(`${reference} ${state}`);
  return references;
}

t.test('an import can be repeated, also where more than half of the store is pinned by it', async (t) => {
  const { bundleOf } = await outside(t, (registry) =>
    registry.push('team/app', imageOf('repeat', [700 * KIB]), '1'),
  );
  const file = await bundleOf(['team/app:1']);
  const { mirror, control } = await inside(t, { maxBytes: MIB });
  for (const [newBytes, bytes] of [
    [/[1-9]/, undefined],
    [/^0$/, 700 * KIB],
  ] as const) {
    const report = endOf(await take(control, file, { bytes }), 'report');
    t.match(String(report.newBytes), newBytes);
  }
  t.same(await referencesOf(control), ['docker.io/team/app:1 complete']);
  const other = await outside(t, (registry) =>
    registry.push('team/other', imageOf('more', [700 * KIB]), '1'),
  );
  const before = stored(mirror);
  const refused = endOf(await take(control, await other.bundleOf(['team/other:1'])), 'refused');
  t.match(refused.message, /storage\.maxSize/);
  t.equal(stored(mirror), before);
});

t.test('a manifest that is in memory from before is known again', async (t) => {
  const { registry, bundleOf } = await outside(t, (registry) => {
    registry.push('team/app', imageOf('again', [60 * KIB]), '1');
    registry.push('team/other', imageOf('else', [230 * KIB]), '1');
  });
  const file = await bundleOf(['team/app:1']);
  const { control } = await inside(t, {
    upstreams: { 'docker.io': { at: registry } },
    offline: false,
    maxBytes: 256 * KIB,
  });
  await all(control.prewarm(prewarmOf(['team/app:1'])));
  await all(control.prewarm(prewarmOf(['team/other:1'])));
  t.same(await referencesOf(control), ['docker.io/team/other:1 complete'], 'the first was evicted');
  t.match(endOf(await take(control, file, { isPinning: true }), 'report'), { images: 1 });
  t.ok((await referencesOf(control)).includes('docker.io/team/app:1 complete'));
});

t.test('who sends something else is told so, however much of it there is', async (t) => {
  const { mirror, control } = await inside(t);
  const refused = endOf(await take(control, blobOf(8 * MIB, 'no archive').body), 'refused');
  t.match(refused.message, /./);
  t.equal(stored(mirror), 0);
  t.notOk(
    mirror.logs.some((line) => line.includes('"level":50')),
    mirror.logs.filter((line) => line.includes('"level":50')).join(),
  );
});

t.test('cut off anywhere, it is refused, and the store is as it was', async (t) => {
  const { bundleOf } = await outside(t, (registry) => {
    registry.push(
      'team/app',
      indexOf({ amd64: imageOf('cut/a', [30 * KIB, 5 * KIB]), arm64: imageOf('cut/b', [9 * KIB]) }),
      '1',
    );
  });
  const file = await bundleOf(['team/app:1']);
  const { mirror, control } = await inside(t);
  const end = file.length - [...file].reverse().findIndex((byte) => byte !== 0);
  const places = [
    0,
    1,
    511,
    512,
    513,
    700,
    1024,
    5000,
    end >> 2,
    end >> 1,
    end - 6 * KIB,
    end - 513,
    end - 1,
    end,
  ];
  for (const place of places) {
    const refused = endOf(await take(control, file.subarray(0, place)), 'refused');
    t.ok(refused.message.length > 0, `${place}: ${refused.message}`);
    t.equal(stored(mirror), 0, `nothing is left of ${place} bytes`);
    t.same(await referencesOf(control), []);
  }
  for (let at = 300; at < file.length; at += Math.ceil(file.length / 23)) {
    const damaged = Buffer.from(file);
    damaged.writeUInt8(damaged.readUInt8(at) ^ 0x10, at);
    const end = (await take(control, damaged)).at(-1);
    if (end?.kind === 'report') {
      t.same(
        await referencesOf(control),
        ['docker.io/team/app:1 complete'],
        `a flipped bit at ${at} that does no harm`,
      );
      await control.unpin(['team/app:1']);
      await control.remove({ references: ['team/app:1'], isDryRun: false });
    } else t.equal(end?.kind, 'refused');
    t.equal(stored(mirror), 0, `flipped at ${at}: ${JSON.stringify(end)}`);
  }
  t.match(endOf(await take(control, file), 'report'), { images: 1 });
  t.equal(mirror.status().store.reservedBytes, 0);
});

t.test('who stops sending has imported nothing', async (t) => {
  const { bundleOf } = await outside(t, (registry) =>
    registry.push('team/app', imageOf('stop', [MIB, MIB]), '1'),
  );
  const file = await bundleOf(['team/app:1']);
  const { mirror, control } = await inside(t);
  const gate = makeGate();
  const half = async function* (): AsyncGenerator<Buffer> {
    yield* sent(file.subarray(0, file.length - 300 * KIB));
    await gate.opened;
    throw new Error('the stick was pulled out');
  };
  const failing = t.rejects(all(control.import(importOf(), half())));
  await until('something came', () => stored(mirror) > 0);
  gate.open();
  await failing;
  await until('it is gone again', () => stored(mirror) === 0 && mirror.status().store.reservedBytes === 0);
  t.same(await referencesOf(control), []);
  t.notOk(
    mirror.logs.some((line) => line.includes('"level":50')),
    'who leaves is no fault of ours',
  );
  t.match(endOf(await take(control, file), 'report'), { images: 1 });
});

t.test('who has sent all of it and leaves before it has names has imported nothing', async (t) => {
  const { bundleOf } = await outside(t, (registry) =>
    registry.push('team/app', imageOf('left/behind', [20 * KIB]), '1'),
  );
  const file = await bundleOf(['team/app:1']);
  const directory = await makeDirectory(t);
  const config = makeConfig(directory, { upstreams: { 'docker.io': { at: NOWHERE } }, offline: true });
  const control = await openLocalControl(config, '0.0.0-test');
  t.teardown(() => control.close());
  const disk = hangDisk(t, directory, { matches: calls('read', 'blobs') }); // its manifest, when all has come
  const events = control.import(importOf(), sent(file))[Symbol.asyncIterator]();
  await events.next();
  await until('it looks at what has come', () => disk.hits > 0);
  const left = events.return?.();
  disk.lift();
  await left;
  for await (const { reference } of control.images()) t.fail(reference);
  t.equal((await control.status()).store.objects, 0);
});

t.test('a delta needs its base, and says so', async (t) => {
  const base = blobOf(300 * KIB, 'delta/base');
  const {
    registry,
    control: outer,
    bundleOf,
  } = await outside(t, (registry) => {
    registry.push('team/app', imageWith('delta/1', [base]), '1');
  });
  const first = await bundleOf(['team/app:1']);
  registry.push('team/app', imageWith('delta/2', [base, blobOf(9 * KIB, 'delta/change')]), '2');
  const { plan } = await outer.export(exportOf(['team/app:1']));
  t.ok(plan.carried.objects > 0);
  const since = [base.digest];
  const second = await bundleOf(['team/app:2'], since);
  t.ok(second.length < 60 * KIB, 'it has what changed');
  const { mirror, control } = await inside(t);
  t.match(endOf(await take(control, second), 'refused'), { message: /neither the archive nor the store/ });
  t.equal(stored(mirror), 0);
  t.match(endOf(await take(control, second, { isDryRun: true }), 'refused'), {
    message: /neither the archive nor the store/,
  });
  endOf(await take(control, first), 'report');
  t.match(endOf(await take(control, second), 'report'), { required: { objects: 1 } });
  t.same(await referencesOf(control), ['docker.io/team/app:1 complete', 'docker.io/team/app:2 complete']);
});

t.test('names are those that were asked for', async (t) => {
  const { bundleOf } = await outside(t, (registry) => {
    registry.push('team/app', imageOf('as/app', [KIB]), '1');
    registry.push('team/other', imageOf('as/other', [KIB]), '1');
  });
  const file = await bundleOf(['team/app:1']);
  const both = await bundleOf(['team/app:1', 'team/other:1']);
  const { mirror, control } = await inside(t);
  const refused = async (file: Buffer, as: string[], message: RegExp): Promise<void> => {
    t.match(endOf(await take(control, file, { as }), 'refused'), { message });
    t.equal(stored(mirror), 0);
  };
  await refused(both, ['one/name:1'], /2 images/);
  await refused(file, ['team/none:1=team/new:1'], /has no docker\.io\/team\/none:1/);
  await refused(both, ['team/other:1=team/app:1'], /two images would be/);
  await refused(file, ['nowhere.test/app:1'], /nowhere\.test is no upstream/);
  await refused(file, ['!'], /no image name/);
  endOf(await take(control, both, { as: ['team/app:1=team/new:9'] }), 'report');
  t.same(await referencesOf(control), ['docker.io/team/new:9 complete', 'docker.io/team/other:1 complete']);
  t.equal((await mirror.manifest('/v2/team/app/manifests/1')).status, 404);
  t.equal((await mirror.manifest('/v2/team/new/manifests/9')).status, 200);
});

t.test('as many names as a command line takes', async (t) => {
  const { bundleOf } = await outside(t, (registry) => {
    registry.push('team/app', imageOf('many/names', [KIB]), '1');
  });
  const file = await bundleOf(['team/app:1']);
  const { control } = await inside(t);
  const as = Array.from({ length: 500 }, (_, n) => `registry.example.test/team/app:${n}=team/other:${n}`);
  t.match(endOf(await take(control, file, { as }), 'refused'), { message: /the archive has no/ });
});

t.test('too large is refused before anything is evicted for it', async (t) => {
  const { bundleOf } = await outside(t, (registry) => {
    registry.push('team/large', imageOf('too/large', [900 * KIB]), '1');
    registry.push('team/small', imageOf('too/small', [100 * KIB]), '1');
  });
  const [large, small] = [await bundleOf(['team/large:1']), await bundleOf(['team/small:1'])];
  const { mirror, control } = await inside(t, { maxBytes: 512 * KIB });
  endOf(await take(control, small, { isPinning: false }), 'report');
  const before = stored(mirror);
  for (const bytes of [undefined, 900 * KIB])
    t.match(endOf(await take(control, large, { bytes }), 'refused'), { message: /storage\.maxSize/ });
  t.equal(stored(mirror), before);
});

t.test('an archive that does not say how large it is, and is too large, is refused', async (t) => {
  const { bundleOf } = await outside(t, (registry) =>
    registry.push('team/large', imageOf('layout/large', [900 * KIB]), '1'),
  );
  const layout = withoutBundle(await bundleOf(['team/large:1']));
  const { mirror, control } = await inside(t, { maxBytes: 512 * KIB });
  t.match(endOf(await take(control, layout), 'refused'), { message: /storage\.maxSize|no room/ });
  t.equal(stored(mirror), 0);
});

t.test('a manifest that merely names a private layer opens nothing', async (t) => {
  const { registry, upstreams } = await guarded(t);
  const secret = imageOf('secret', [50 * KIB]);
  registry.push('team/secret', secret, '1');
  const mirror = await startMirror(t, { upstreams });
  const control = await controlOf(mirror);
  t.match(endOf(await all(control.prewarm(prewarmOf(['team/secret:1']))), 'report'), { images: { done: 1 } });
  const before = stored(mirror);
  const thief = imageWith('thief', secret.layers);
  const { bundleOf } = await outside(t, (open) => open.push('team/thief', thief, '1'));
  const [layer] = secret.layers;
  const whole = await bundleOf(['team/thief:1']);
  const delta = await bundleOf(['team/thief:1'], [layer?.digest ?? '']);
  t.match(endOf(await take(control, delta), 'refused'), { message: /neither the archive nor the store/ });
  t.equal(stored(mirror), before, 'what was here before stays');
  endOf(await take(control, whole), 'report');
  t.ok(
    (await referencesOf(control)).includes('docker.io/team/thief:1 complete'),
    'who has the bytes may bring them',
  );
});

t.test(
  'what was carried is for everybody while upstream is not asked, and for those that it names afterwards',
  async (t) => {
    const { registry, upstreams } = await guarded(t);
    registry.push('team/app', imageOf('carried', [KIB]), '1');
    const { bundleOf } = await outside(t, (open) => open.push('team/app', imageOf('carried', [KIB]), '1'));
    const file = await bundleOf(['team/app:1']);
    const mirror = await startMirror(t, { upstreams, offline: true });
    const control = await controlOf(mirror);
    endOf(await take(control, file), 'report');
    t.equal((await mirror.manifest('/v2/team/app/manifests/1')).status, 200);
    await control.offline(false);
    t.ok(
      (await mirror.manifest('/v2/team/app/manifests/1')).status >= 400,
      'upstream says that it is not for strangers',
    );
  },
);

t.test('what credentials bring into a repository that was carried is not for everybody', async (t) => {
  const { bundleOf } = await outside(t, (open) => open.push('team/app', imageOf('carried/1', [KIB]), '1'));
  const file = await bundleOf(['team/app:1']);
  const { registry, upstreams } = await guarded(t);
  registry.push('team/app', imageOf('carried/2', [KIB]), '2');
  const mirror = await startMirror(t, { upstreams });
  const control = await controlOf(mirror);
  endOf(await take(control, file), 'report');
  // Only manifests come, and nobody asks whether they are for everybody.
  const foreseen = await all(control.prewarm(prewarmOf(['team/app:2'], { isDryRun: true })));
  t.match(endOf(foreseen, 'report'), { images: { failed: 0 } });
  await control.offline(true);
  t.equal((await mirror.manifest('/v2/team/app/manifests/2')).status, 404);
});

t.test('what was carried opens nothing where upstream decides who is given it', async (t) => {
  const secret = imageOf('carried/secret', [50 * KIB]);
  const [layer] = secret.layers;
  const { bundleOf } = await outside(t, (open) => {
    open.push('team/secret', secret, '1');
    open.push('team/thief', imageWith('carried/thief', secret.layers), '1');
  });
  const [file, delta] = [
    await bundleOf(['team/secret:1']),
    await bundleOf(['team/thief:1'], [layer?.digest ?? '']),
  ];
  const { upstreams } = await guarded(t);
  const mirror = await startMirror(t, { upstreams });
  const control = await controlOf(mirror);
  endOf(await take(control, file), 'report');
  t.match(endOf(await take(control, delta), 'refused'), { message: /neither the archive nor the store/ });
  await control.offline(true);
  endOf(await take(control, delta), 'report');
});

t.test(
  'an imported tag is what it was imported as, whatever was known of it; absence is forgotten',
  async (t) => {
    const { bundleOf } = await outside(t, (registry) => {
      registry.push('team/app', imageOf('newer', [KIB]), '1');
      registry.push('team/new', imageOf('new', [KIB]), '1');
    });
    const file = await bundleOf(['team/app:1', 'team/new:1']);
    const registry = await startRegistry(t);
    const old = imageOf('older', [KIB]);
    registry.push('team/app', old, '1');
    const { mirror, control } = await inside(t, {
      upstreams: { 'docker.io': { at: registry } },
      offline: false,
    });
    t.ok((await mirror.manifest('/v2/team/app/manifests/1')).body.equals(old.manifest.body));
    t.equal((await mirror.manifest('/v2/team/new/manifests/1')).status, 404);
    const fresh = imageOf('newer', [KIB]);
    endOf(await take(control, file), 'report');
    await control.offline(true);
    t.ok((await mirror.manifest('/v2/team/app/manifests/1')).body.equals(fresh.manifest.body));
    await control.offline(false);
    t.equal((await mirror.manifest('/v2/team/new/manifests/1')).status, 200);
  },
);

t.test('where pins cannot be noted, nothing is imported', async (t) => {
  const { bundleOf } = await outside(t, (registry) =>
    registry.push('team/app', imageOf('unnoted', [20 * KIB]), '1'),
  );
  const file = await bundleOf(['team/app:1']);
  const { mirror, control } = await inside(t);
  const { DatabaseSync } = await import('node:sqlite');
  const database = new DatabaseSync(join(mirror.directory, 'v1', 'catalog.db'));
  database.exec("CREATE TRIGGER refuse BEFORE INSERT ON pins BEGIN SELECT RAISE(ABORT, 'full'); END");
  t.match(endOf(await take(control, file), 'refused'), { message: /disk/ });
  t.same(await referencesOf(control), []);
  t.equal(stored(mirror), 0);
  database.exec('DROP TRIGGER refuse');
  database.close();
  endOf(await take(control, file), 'report');
  t.same(await referencesOf(control), ['docker.io/team/app:1 complete']);
});

t.test('two imports of the same content at once, while clients pull', async (t) => {
  const shared = blobOf(400 * KIB, 'twice/shared');
  const images = ['one', 'two'].map((name) => imageWith(`twice/${name}`, [shared, blobOf(50 * KIB, name)]));
  const { bundleOf } = await outside(t, (registry) => {
    for (const [n, image] of images.entries()) registry.push(`team/app-${n}`, image, '1');
  });
  const files = [await bundleOf(['team/app-0:1']), await bundleOf(['team/app-1:1'])];
  const broken = Buffer.from(await bundleOf(['team/app-0:1', 'team/app-1:1'])).subarray(0, 300 * KIB);
  const { mirror, control } = await inside(t);
  const ends = await Promise.all([...files, ...files, broken].map((file) => take(control, file)));
  t.same(
    ends.map((told) => told.at(-1)?.kind),
    ['report', 'report', 'report', 'report', 'refused'],
  );
  t.same(await referencesOf(control), ['docker.io/team/app-0:1 complete', 'docker.io/team/app-1:1 complete']);
  for (const [n, image] of images.entries())
    for (const { digest, body } of image.layers)
      t.ok((await mirror.get(`/v2/team/app-${n}/blobs/${digest}`)).body.equals(body));
  t.equal(stored(mirror), new Set(images.flatMap(contentOf).map(({ digest }) => digest)).size);
});

t.test('a dry run leaves nothing and says the same as the import', async (t) => {
  const { bundleOf } = await outside(t, (registry) =>
    registry.push('team/app', imageOf('dry', [50 * KIB]), '1'),
  );
  const file = await bundleOf(['team/app:1']);
  const { mirror, control } = await inside(t);
  const dry = endOf(await take(control, file, { isDryRun: true }), 'report');
  t.equal(stored(mirror), 0);
  t.same(await referencesOf(control), []);
  t.same(endOf(await take(control, file), 'report'), dry);
});

t.test('a disk that refuses in the middle: nothing is imported, and the next time all is', async (t) => {
  const { bundleOf } = await outside(t, (registry) => {
    registry.push('team/app', imageOf('refusing', [MIB, MIB]), '1');
  });
  const file = await bundleOf(['team/app:1']);
  const { mirror, control } = await inside(t);
  for (const operation of ['open', 'write', 'sync', 'rename']) {
    const fault = failDisk(t, mirror.directory, 'ENOSPC', { matches: calls(operation, 'intake-'), after: 1 });
    const refused = endOf(await take(control, file), 'refused');
    t.match(refused.message, /the disk refuses/, operation);
    t.ok(fault.hits > 0, `${operation} was refused`);
    fault.lift();
    t.equal(stored(mirror), 0, operation);
    t.same(await referencesOf(control), []);
    t.equal(mirror.status().store.reservedBytes, 0);
  }
  endOf(await take(control, file), 'report');
  t.same(await referencesOf(control), ['docker.io/team/app:1 complete']);
});

t.test('a daemon that ends does not wait for an archive that does not come', async (t) => {
  const { bundleOf } = await outside(t, (registry) => {
    registry.push('team/app', imageOf('ending', [MIB]), '1');
  });
  const file = await bundleOf(['team/app:1']);
  const { mirror, control } = await inside(t);
  const gate = makeGate();
  t.teardown(gate.open);
  const half = async function* (): AsyncGenerator<Buffer> {
    yield file.subarray(0, file.length >> 1);
    await gate.opened;
  };
  const failing = t.rejects(all(control.import(importOf(), half())));
  await until('it takes content', () => mirror.status().store.reservedBytes > 0 || stored(mirror) > 0);
  await mirror.close();
  gate.open();
  await failing;
  const again = await startMirror(t, {
    upstreams: { 'docker.io': { at: NOWHERE } },
    offline: true,
    directory: mirror.directory,
  });
  const next = await controlOf(again);
  t.same(await referencesOf(next), []);
  endOf(await take(next, file), 'report');
});

/** The same archive as somebody else's: without what a bundle says of itself. */
function withoutBundle(bundle: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at + 512 <= bundle.length; ) {
    const header = bundle.subarray(at, at + 512);
    const name = header.subarray(0, 100).toString('latin1').replace(/\0.*$/s, '');
    const size = Number.parseInt(header.subarray(124, 136).toString('latin1'), 8) || 0;
    const end = name === '' ? bundle.length : at + 512 + Math.ceil(size / 512) * 512;
    if (!name.includes('hubcap')) parts.push(bundle.subarray(at, end));
    at = end;
  }
  return Buffer.concat(parts);
}
