import t from 'tap';
import { nearest } from '../../src/config/nearest.ts';
import { configFileCandidates, defaultDataDirectory, expandPath } from '../../src/config/paths.ts';

t.test('the default data directory', async (t) => {
  const cases: [env: NodeJS.ProcessEnv, homedir: string, uid: number, directory: string][] = [
    [{ HOME: '/home/me' }, '/home/me', 1000, '/home/me/.cache/hubcap'],
    [{ HOME: '/home/me', XDG_CACHE_HOME: '/cache' }, '/home/me', 1000, '/cache/hubcap'],
    [{ HOME: '/home/me', XDG_CACHE_HOME: 'relative' }, '/home/me', 1000, '/home/me/.cache/hubcap'],
    [{ HOME: '/home/me', XDG_CACHE_HOME: '' }, '/home/me', 1000, '/home/me/.cache/hubcap'],
    [{}, '/home/me', 1000, '/home/me/.cache/hubcap'],
    [{ HOME: '/superuser' }, '/superuser', 0, '/superuser/.cache/hubcap'],
    [{}, '/superuser', 0, '/var/cache/hubcap'],
    [{}, '/', 999, '/var/cache/hubcap'],
  ];
  for (const [env, homedir, uid, directory] of cases) {
    t.equal(defaultDataDirectory({ env, homedir, uid, cwd: '/' }), directory, JSON.stringify({ env, uid }));
  }
});

t.test('written paths', async (t) => {
  const around = { env: { HOME: '/home/me' }, homedir: '/other', uid: 1, cwd: '/here' };
  t.equal(expandPath('~', '/base', around), '/home/me');
  t.equal(expandPath('~/x', '/base', around), '/home/me/x');
  t.equal(expandPath('~x', '/base', around), '/base/~x');
  t.equal(expandPath('../x', '/base', around), '/x');
  t.equal(expandPath('/x', '/base', around), '/x');
  t.same(configFileCandidates(around), [
    '/here/hubcap.yaml',
    '/home/me/.config/hubcap/hubcap.yaml',
    '/etc/hubcap/hubcap.yaml',
  ]);
});

t.test('the nearest name', async (t) => {
  const known = ['storage', 'listen', 'log', 'maxSize', 'tagTtl'];
  const cases: [string, string | undefined][] = [
    ['storge', 'storage'],
    ['sotrage', 'storage'],
    ['MAXSIZE', 'maxSize'],
    ['max-size', 'maxSize'],
    ['lisen', 'listen'],
    ['lgo', 'log'],
    ['tagttl', 'tagTtl'],
    ['xyz', undefined],
    ['', undefined],
    ['credentials', undefined],
  ];
  for (const [name, meant] of cases) t.equal(nearest(name, known), meant, name);
});
