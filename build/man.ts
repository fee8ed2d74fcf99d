/** Owns the making of the man page: what `--help` says, of hubcap and of each command, as roff for man(7). */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { helpOf } from '../src/cli/index.ts';

const root = join(import.meta.dirname, '..');
const COLUMNS = 78;

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const overview = await helpOf(undefined, COLUMNS);
const commands = [...overview.matchAll(/^ {2}hubcap (\w+)/gm)].map(([, name = '']) => name);
if (commands.length === 0) throw new Error('`hubcap --help` lists no commands');

const sections = [
  `.TH HUBCAP 1 "" "hubcap ${version}" "User Commands"`,
  '.SH NAME',
  'hubcap \\- a pull-through caching mirror for container registries',
  '.SH SYNOPSIS',
  '.B hubcap',
  '.I command',
  '[options]',
  '.SH DESCRIPTION',
  'hubcap is a registry mirror for Docker, containerd, podman, BuildKit and Kubernetes nodes. It fetches each thing once from',
  'Docker Hub or another registry, keeps it on disk by digest inside a byte budget, and keeps serving when the registry is',
  'down or throttles.',
  '.SH COMMANDS',
];
for (const command of commands) {
  sections.push(`.SS hubcap ${command}`, ...preformatted(await helpOf(command, COLUMNS)));
}
sections.push(
  '.SH EXIT STATUS',
  '.TP\n.B 0\ndone',
  '.TP\n.B 1\nfailed',
  '.TP\n.B 2\nthe command line or the configuration cannot be used',
  '.TP\n.B 130, 143\nended by SIGINT, SIGTERM',
  '.SH FILES',
  '.TP\n.I ./hubcap.yaml, ~/.config/hubcap/hubcap.yaml, /etc/hubcap/hubcap.yaml\nthe configuration, the first that is there;',
  'hubcap.example.yaml, which comes with hubcap, explains every key',
);
mkdirSync(join(root, 'dist'), { recursive: true });
writeFileSync(join(root, 'dist/hubcap.1'), `${sections.join('\n')}\n`);

/** Lines as they are. A backslash, a hyphen, and a dot or quote at the start mean something to roff. */
function preformatted(text: string): string[] {
  const lines = text.trimEnd().split('\n');
  const escaped = lines.map((line) => {
    const plain = line.trimEnd().replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('…', '...');
    return /^[.']/.test(plain) ? `\\&${plain}` : plain;
  });
  return ['.nf', ...escaped, '.fi'];
}
