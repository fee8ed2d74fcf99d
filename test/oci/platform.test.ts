import t from 'tap';
import { isPlatform, type Platform, parsePlatform, platformText } from '../../src/oci/platform.ts';

t.test('how platforms are written', async (t) => {
  const written: Record<string, string> = {
    'linux/amd64': 'linux/amd64',
    'linux/arm64/v8': 'linux/arm64/v8',
    'Linux/ARM64': 'linux/arm64',
    arm64: 'linux/arm64',
    'linux/x86_64': 'linux/amd64',
    'linux/aarch64': 'linux/arm64',
    'linux/armhf': 'linux/arm/v7',
    'windows/amd64': 'windows/amd64',
  };
  for (const [text, meant] of Object.entries(written)) {
    const platform = parsePlatform(text);
    t.equal(platform && platformText(platform), meant, text);
  }
  for (const text of [
    '',
    '/',
    'linux/',
    '/amd64',
    'linux/arm/v7/x',
    'linux amd64',
    'linux/amd64,',
    '../etc',
    'latest',
  ])
    t.equal(parsePlatform(text), undefined, text);
});

t.test('which one stands for which', async (t) => {
  const platform = (text: string): Platform => parsePlatform(text) ?? { os: text, architecture: text };
  const stands = (has: string, wanted: string): boolean => isPlatform(platform(has), platform(wanted));
  t.ok(stands('linux/arm64/v8', 'linux/arm64'));
  t.ok(stands('linux/arm64', 'linux/arm64/v8'), 'an index that leaves out what goes without saying');
  t.ok(stands('linux/arm', 'linux/arm/v7'));
  t.ok(stands('linux/arm/v6', 'linux/arm'), 'without a variant, any');
  t.notOk(stands('linux/arm/v6', 'linux/arm/v7'));
  t.notOk(stands('linux/amd64', 'linux/arm64'));
  t.notOk(stands('windows/amd64', 'linux/amd64'));
});
