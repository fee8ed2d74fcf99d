/** Owns what an entry under `credentials` may say: one login. */
import type { z } from 'zod';
import { readText as readFile, Unreadable } from './files.ts';
import { defaultDockerConfig, type Surroundings } from './paths.ts';
import type { CredentialConfig } from './schema.ts';
import { isMappingPayload, leaf, mapRead, optional, section } from './sections.ts';
import * as values from './values.ts';

/** The schema of one entry. Parsing reads the password file. */
export function credentialSchema(expand: (path: string) => string, around: Surroundings) {
  const passwordFile: values.Reader<string> = (value) => {
    const path = values.readPath(value);
    return path instanceof values.Expected ? path : readPassword(expand(path));
  };
  const dockerConfig: values.Reader<string> = (value) => {
    if (value === true) return defaultDockerConfig(around);
    const file = mapRead(values.readPath(value), expand);
    return file instanceof values.Expected ? new values.Expected('true, or the path of a config.json') : file;
  };
  return section({
    username: optional(leaf(values.readUsername)),
    password: optional(leaf(values.readText)),
    passwordFile: optional(leaf(passwordFile)),
    dockerConfig: optional(leaf(dockerConfig)),
    anonymous: optional(leaf(readAnonymous)),
  })
    .superRefine(checkCredential, { when: isMappingPayload })
    .transform(({ username, password, passwordFile, dockerConfig, anonymous }): CredentialConfig => {
      if (anonymous) return { kind: 'anonymous' };
      if (dockerConfig !== undefined) return { kind: 'dockerConfig', file: dockerConfig };
      return { kind: 'password', username: username ?? '', password: password ?? passwordFile ?? '' };
    });
}

const readAnonymous: values.Reader<true> = (value) =>
  values.readSwitch(value) === true ? true : new values.Expected('true, or an entry less');

function readPassword(path: string): string | values.Expected {
  const text = readFile(path);
  if (text instanceof Unreadable) return new values.Expected(`a file that can be read (${text.reason})`);
  return (
    text.replace(/\r?\n$/, '') || new values.Expected('a file that holds the password (this one is empty)')
  );
}

/** Holds that an entry is one login. Runs beside failed fields too: a refused value counts as given. */
function checkCredential(entry: Readonly<Record<string, unknown>>, context: z.RefinementCtx): void {
  const has = (key: string) => entry[key] !== undefined;
  const report = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
  const whole = ['anonymous', 'dockerConfig'].find(has);
  if (whole !== undefined) {
    const other = ['dockerConfig', 'username', 'password', 'passwordFile'].find(
      (key) => key !== whole && has(key),
    );
    if (other !== undefined) report(other, `${whole} alone; another login is another entry`);
    return;
  }
  if (has('password') && has('passwordFile')) report('passwordFile', 'either a password or a password file');
  const hasPassword = has('password') || has('passwordFile');
  if (!has('username') && !hasPassword)
    report('username', 'a user name with its password, dockerConfig, or anonymous');
  else if (!has('username')) report('username', 'the user name that the password belongs to');
  else if (!hasPassword) report('password', 'the password of this user, or the file that holds it');
}
