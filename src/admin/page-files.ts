/** Owns the files of the status page, as the build left them. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Answer, Caller } from './answers.ts';

const TYPES = {
  'index.html': 'text/html; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'style.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
} as const;

export type PageFileName = keyof typeof TYPES;

interface PageFile {
  body: Buffer;
  gzip: Buffer;
  etag: string;
}

/** Nothing from elsewhere, nothing inline, in nobody's frame. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'cross-origin-opener-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache', // asked about each time: after an upgrade nobody sees the old page
};

/** Answers with the files of the page. */
export class PageFiles {
  readonly #files = new Map<PageFileName, PageFile>();

  /** @param directory where the build put them; what is not there is answered with advice */
  constructor(directory = fileURLToPath(new URL('../../dist/page/', import.meta.url))) {
    for (const name of Object.keys(TYPES) as PageFileName[]) {
      const path = `${directory}/${name}`;
      if (!existsSync(path)) continue;
      const body = readFileSync(path);
      const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
      this.#files.set(name, { body, gzip: readFileSync(`${path}.gz`), etag });
    }
  }

  /** @returns the file, or that the caller has it already (RFC 9110, section 13.1.2) */
  answer(name: PageFileName, { headers }: Caller): Answer {
    const file = this.#files.get(name);
    if (!file) return { status: 503, type: 'text/plain; charset=utf-8', body: NOT_BUILT };
    const { body, gzip, etag } = file;
    const type = TYPES[name];
    if (headers['if-none-match']?.includes(etag))
      return { status: 304, type, body: '', headers: { ...HEADERS, etag, vary: 'accept-encoding' } };
    return { status: 200, type, body, gzip, headers: { ...HEADERS, etag } };
  }
}

const NOT_BUILT =
  'the status page was not built: run `npm run build`. Here are /metrics /healthz /readyz /api/status\n';
