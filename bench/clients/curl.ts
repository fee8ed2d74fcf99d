/** Owns bulk reading: several `curl` at once, which cost less than any reader in this process would. */
import { runClient } from '../processes.ts';

export interface Transfers {
  url: string;
  /** of the content, to see that all of it came */
  bytes: number;
  parallel: number;
  /** one after the other on one connection, per curl */
  each: number;
}

/** @returns the bytes that were read in all @throws where anything came short */
export async function runCurls({ url, bytes, parallel, each }: Transfers): Promise<number> {
  const targets = Array.from({ length: each }, () => ['--output', '/dev/null', url]).flat();
  const format = '%{http_code} %{size_download}\\n';
  const args = ['--silent', '--fail', '--write-out', format, ...targets];
  const outputs = await Promise.all(Array.from({ length: parallel }, () => runClient('curl', args)));
  const wanted = `200 ${bytes}\n`.repeat(parallel * each);
  if (outputs.join('') !== wanted) throw new Error('a transfer came short', { cause: outputs.join('') });
  return bytes * parallel * each;
}
