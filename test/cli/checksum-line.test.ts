import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { checksumLine, readChecksum } from '../../src/cli/checksum-line.ts';
import { makeDirectory } from '../helpers/mirror.ts';

const hex = createHash('sha256').update('content').digest('hex');
const another = '1'.repeat(64);

t.test('what is written is read back, whatever the name', async (t) => {
  const names = fc.string({ minLength: 1 }).filter((name) => !name.includes('/'));
  fc.assert(fc.property(names, (name) => readChecksum(checksumLine(hex, name), name) === hex));
  t.pass();
});

t.test('sha256sum checks the line, also of odd names, and writes the same', async (t) => {
  const directory = await makeDirectory(t);
  for (const name of ['plain.tar', 'with space.tar', 'back\\slash', 'new\nline']) {
    writeFileSync(join(directory, name), 'content');
    const input = checksumLine(hex, name);
    execFileSync('sha256sum', ['--strict', '-c', '-'], { cwd: directory, input });
    t.equal(execFileSync('sha256sum', ['--', name], { cwd: directory, encoding: 'utf8' }), input);
  }
});

t.test('of several lines the one with the name counts; one alone counts by any name', async (t) => {
  const lines = `${another}  other.tar\n${hex.toUpperCase()} *dir/images.tar\r\n`;
  t.equal(readChecksum(lines, 'images.tar'), hex);
  t.equal(readChecksum(lines, 'unknown.tar'), undefined);
  t.equal(readChecksum(`${hex}  before-it-was-renamed.tar\n`, 'images.tar'), hex);
  t.equal(readChecksum(`${hex}\n`, 'images.tar'), hex);
  for (const nothing of ['', 'nonsense\n', `${hex.slice(1)}  images.tar\n`, `SHA256 (images.tar) = ${hex}\n`])
    t.equal(readChecksum(nothing, 'images.tar'), undefined);
});
