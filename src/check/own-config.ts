/** Owns the check of hubcap's own configuration: what is in effect, or every problem at once. */
import { isLoopback } from '../admin/names.ts';
import { formatAddress } from '../config/address.ts';
import type { ConfigError } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { type Finding, voiceOf } from './check.ts';

const say = voiceOf('configuration');

/** @returns one finding for each problem, in the words that `hubcap serve` has for them */
export function configProblems({ problems, lines, file }: ConfigError): Finding[] {
  return problems.map(({ path }, at) => {
    const remedy = `correct it${file === undefined ? '' : ` in ${file}`}; hubcap.example.yaml has every key`;
    return say.failed('configuration', lines[at] ?? path, remedy, { key: path, file });
  });
}

/** @param file that was read, if one was */
export function checkConfig(config: Config, file: string | undefined): Finding[] {
  const { upstreams, listen, defaultUpstream, offline } = config;
  const hosts = [...upstreams.keys()];
  const from = file === undefined ? 'no configuration file: the defaults hold' : `${file} is valid`;
  const findings = [
    say.ok('configuration', `${from}; mirrors ${hosts.join(', ')}`, {
      file,
      upstreams: hosts,
      defaultUpstream,
    }),
  ];
  if (offline)
    findings.push(
      say.warning(
        'configuration.offline',
        'offline is set: no upstream is asked',
        'remove it, unless that is meant to be so',
      ),
    );
  const isOpen = !['localhost', ''].includes(listen.host) ? !isLoopback(listen.host) : listen.host === '';
  const withSecrets = [...upstreams.values()].filter((one) => one.private.length > 0).map(({ host }) => host);
  if (isOpen && withSecrets.length > 0) {
    const message = `whoever reaches ${formatAddress(listen)} can read what \`private\` lists of ${withSecrets.join(', ')}`;
    findings.push(
      say.warning('configuration.private', message, 'keep the listener to people who may read it'),
    );
  }
  return findings;
}
