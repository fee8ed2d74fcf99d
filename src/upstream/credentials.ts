/** Owns the login for an upstream: the first of the configured sources that has one. */
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
  readonly #sources: readonly CredentialSource[];
  readonly #serverKeys: readonly string[];
  readonly #now: () => number;
  #known: { login: Promise<Login | undefined>; untilMs: number } | undefined;

  /** @param upstream the host that clients name */
  constructor(upstream: string, address: URL, sources: readonly CredentialSource[], now: () => number) {
    this.#sources = sources;
    this.#serverKeys = serverKeys(upstream, address);
    this.#now = now;
  }

  /**
   * @returns the login, undefined where upstream is asked anonymously
   * @throws Error where a source cannot be read; it names the file or helper, never a secret
   */
  async login(): Promise<Login | undefined> {
    if (this.#sources.length === 0) return undefined;
    if (!this.#known || this.#now() >= this.#known.untilMs) {
      const login = this.#find();
      this.#known = { login, untilMs: this.#now() + REMEMBER_MS };
      login.catch(() => this.forget());
    }
    return await this.#known.login;
  }

  /** Upstream refused the login: the next question reads the sources again. */
  forget(): void {
    this.#known = undefined;
  }

  async #find(): Promise<Login | undefined> {
    for (const source of this.#sources) {
      if (source.kind === 'anonymous') return undefined;
      if (source.kind === 'password') return { username: source.username, password: source.password };
      const login = await loginFromDockerConfig(source.file, this.#serverKeys);
      if (login) return login;
    }
    return undefined;
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
