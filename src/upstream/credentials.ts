/** Owns one of the configured sources of a login: reads it, keeps it for a while. */
import { type Login, loginFromDockerConfig } from './docker-config.ts';

export type CredentialSource =
  | { kind: 'password'; username: string; password: string }
  | { kind: 'dockerConfig'; file: string }
  | { kind: 'anonymous' };

/** A credential helper is a process: it is asked again after this long, or when upstream refuses the login. */
const REMEMBER_MS = 5 * 60_000;

/** Docker's own key for the Hub, and the names under which other tools write it. */
const HUB_HOSTS: ReadonlySet<string> = new Set(['registry-1.docker.io', 'index.docker.io', 'docker.io']);
const HUB_KEYS = ['https://index.docker.io/v1/', 'docker.io', 'index.docker.io', 'registry-1.docker.io'];

export class Credentials {
  readonly source: CredentialSource;
  readonly #serverKeys: readonly string[];
  readonly #now: () => number;
  #known: { login: Promise<Login | undefined>; untilMs: number } | undefined;

  /** @param upstream the host that clients name */
  constructor(upstream: string, address: URL, source: CredentialSource, now: () => number) {
    this.source = source;
    this.#serverKeys = serverKeys(upstream, address);
    this.#now = now;
  }

  /**
   * @returns the login, undefined where there is none: then it is nobody's
   * @throws Error where the source cannot be read; it names the file or helper, never a secret
   */
  async login(): Promise<Login | undefined> {
    if (!this.#known || this.#now() >= this.#known.untilMs) {
      const login = this.#find();
      this.#known = { login, untilMs: this.#now() + REMEMBER_MS };
      login.catch(() => this.forget());
    }
    return await this.#known.login;
  }

  /** Upstream refused the login: the next question reads the source again. */
  forget(): void {
    this.#known = undefined;
  }

  async #find(): Promise<Login | undefined> {
    const { source } = this;
    if (source.kind === 'anonymous') return undefined;
    if (source.kind === 'dockerConfig') return await loginFromDockerConfig(source.file, this.#serverKeys);
    return { username: source.username, password: source.password };
  }
}

/** By where it is asked, as Docker does: a login for the Hub is not for whatever takes the Hub's place. */
function serverKeys(upstream: string, { protocol, host }: URL): readonly string[] {
  return protocol === 'https:' && HUB_HOSTS.has(host) && upstream === 'docker.io' ? HUB_KEYS : [host];
}

/** @returns the value of `Authorization` for RFC 7617 */
export function basicAuthorization({ username, password }: Login): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
