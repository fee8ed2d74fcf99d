/** Owns running the command line in the process of the test: without the second that a process of its own takes. */
import { runCli } from '../../src/cli/index.ts';

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end, without the environment of who runs the tests. One at a time: it takes what is printed. */
export async function runHere(...args: string[]): Promise<Ended> {
  const { env } = process;
  const streams = [process.stdout, process.stderr] as const;
  const before = streams.map((stream) => ({ write: stream.write, onError: stream.listeners('error') }));
  const said = ['', ''];
  try {
    process.env = { PATH: env.PATH, HOME: '/nonexistent' };
    for (const [at, stream] of streams.entries())
      stream.write = (chunk: string | Uint8Array) => {
        said[at] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
        return true;
      };
    const code = await runCli(args);
    return { code, stdout: said[0] ?? '', stderr: said[1] ?? '' };
  } finally {
    process.env = env;
    for (const [at, stream] of streams.entries()) {
      const { write, onError = [] } = before[at] ?? {};
      if (write) stream.write = write;
      for (const listener of stream.listeners('error'))
        if (!onError.includes(listener)) stream.off('error', listener as () => void);
    }
  }
}
