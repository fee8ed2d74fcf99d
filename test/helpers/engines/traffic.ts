/** Owns what a registry's own access log says it sent: the oracle for "this cost the upstream nothing". */

/** One request that the registry has answered. */
export interface Exchange {
  method: string;
  path: string;
  status: number;
  /** Of the body. */
  bytes: number;
}

/** Combined log format: `ADDRESS - USER [TIME] "METHOD PATH HTTP/1.1" STATUS BYTES …`. */
const combined =
  /^\S+ - \S+ \[[^\]]+\] "(?<method>[A-Z]+) (?<path>\S+) HTTP\/[\d.]+" (?<status>\d+) (?<bytes>\d+|-)/;
const route = /^\/v2\/(?<repository>.+)\/(?<kind>manifests|blobs)\/(?<reference>[^/?]+)(?:\?.*)?$/;

/** The exchange that a log line tells of, or undefined where it is about something else. */
export function parseAccessLog(line: string): Exchange | undefined {
  const { method, path, status, bytes } = combined.exec(line)?.groups ?? {};
  if (method === undefined || path === undefined) return undefined;
  return { method, path, status: Number(status), bytes: bytes === '-' ? 0 : Number(bytes) };
}

/** How often each thing was asked for, by digest, or by tag where that was asked for. */
export type Counts = Record<string, number>;

/** A stretch of a registry's access log. */
export class Traffic {
  readonly exchanges: readonly Exchange[];

  constructor(exchanges: readonly Exchange[]) {
    this.exchanges = exchanges;
  }

  /** What came after an earlier reading of the same log. */
  since(earlier: Traffic): Traffic {
    return new Traffic(this.exchanges.slice(earlier.exchanges.length));
  }

  /** How often the bytes of each blob were sent, in whole or in part. */
  blobGets(): Counts {
    return this.#count('GET', 'blobs');
  }

  /** How many bytes of each blob were sent. */
  blobBytes(): Counts {
    return tally(this.#sent('GET', 'blobs').map(({ reference, bytes }) => [reference, bytes]));
  }

  /** How often each manifest was sent, which is what a pull limit counts. */
  manifestGets(): Counts {
    return this.#count('GET', 'manifests');
  }

  /** How often a manifest was asked about without being sent. */
  manifestHeads(): Counts {
    return this.#count('HEAD', 'manifests');
  }

  #count(method: string, kind: string): Counts {
    return tally(this.#sent(method, kind).map(({ reference }) => [reference, 1]));
  }

  #sent(method: string, kind: string): { reference: string; bytes: number }[] {
    return this.exchanges
      .filter((exchange) => exchange.method === method && exchange.status >= 200 && exchange.status < 300)
      .flatMap(({ path, bytes }) => {
        const groups = route.exec(path)?.groups;
        if (groups?.kind !== kind || groups.reference === undefined) return [];
        return [{ reference: groups.reference, bytes }];
      });
  }
}

function tally(entries: readonly (readonly [string, number])[]): Counts {
  const counts: Counts = {};
  for (const [key, amount] of entries) counts[key] = (counts[key] ?? 0) + amount;
  return counts;
}
