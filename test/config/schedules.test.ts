import { join } from 'node:path';
import t from 'tap';
import { hostPlatform, platformText } from '../../src/oci/platform.ts';
import { failFrom, loadFrom } from './load-from.ts';

t.test('a schedule needs its list alone', async (t) => {
  const home = t.testdir();
  const { prewarm } = loadFrom(home, { yaml: 'prewarm: [{ list: images.txt }]' });
  t.same(prewarm, [
    {
      list: join(home, 'images.txt'),
      everyMs: 6 * 3600_000,
      platforms: [platformText(hostPlatform(process.arch))],
      isPinning: false,
      withReferrers: false,
    },
  ]);
  t.match(platformText(hostPlatform('x64')), 'linux/amd64');
});

t.test('all that can be said of schedules', async (t) => {
  const home = t.testdir();
  const yaml = `
prewarm:
  - { list: ~/one.txt, every: 1m, platforms: all, pin: true, referrers: yes }
  - { list: /etc/two.yaml, every: 1d, platforms: [amd64, linux/aarch64, linux/amd64] }
  - { list: ../three, platforms: linux/arm/v7 }
`;
  t.match(loadFrom(home, { yaml }).prewarm, [
    { list: join(home, 'one.txt'), everyMs: 60_000, platforms: 'all', isPinning: true, withReferrers: true },
    { list: '/etc/two.yaml', everyMs: 86_400_000, platforms: ['linux/amd64', 'linux/arm64'] },
    { list: join(home, '../three'), platforms: ['linux/arm/v7'], isPinning: false },
  ]);
});

t.test('what cannot be', async (t) => {
  const home = t.testdir();
  const schedules = (...lists: string[]): string => lists.map((list) => `{ list: ${list} }`).join(', ');
  const many = Array.from({ length: 101 }, (_, n) => `list-${n}`);
  const cases: [yaml: string, path: string, expected: RegExp][] = [
    ['{ list: x }', 'prewarm', /a list/],
    ['[x]', 'prewarm[0]', /a mapping with list, every, platforms, pin, referrers/],
    ['[{ every: 1h }]', 'prewarm[0].list', /a path/],
    ['[{ list: x, evry: 1h }]', 'prewarm[0].evry', /did you mean every\?/],
    ['[{ list: x, every: 59s }]', 'prewarm[0].every', /at least 1m/],
    ['[{ list: x, every: 366d }]', 'prewarm[0].every', /at most 365d/],
    ['[{ list: x, platforms: [] }]', 'prewarm[0].platforms', /all, or a list/],
    ['[{ list: x, platforms: [linux/amd64, all] }, { list: y }]', 'prewarm[0].platforms', /./],
    ['[{ list: x, platforms: [a/b/c/d] }]', 'prewarm[0].platforms', /linux\/amd64/],
    ['[{ list: x, pin: sometimes }]', 'prewarm[0].pin', /true or false/],
    [`[${schedules('x', 'y', './x')}]`, 'prewarm[2].list', /one list has one schedule/],
    [`[${schedules(...many)}]`, 'prewarm', /at most 100 schedules/],
  ];
  for (const [written, path, expected] of cases) {
    const { problems } = failFrom(home, { yaml: `prewarm: ${written}` });
    t.match(problems, [{ path, expected }], written);
    t.equal(problems[0]?.path, path, written);
  }
  const most = `prewarm: [${schedules(...many.slice(1))}]`;
  t.equal(loadFrom(home, { yaml: most }).prewarm.length, 100);
});
