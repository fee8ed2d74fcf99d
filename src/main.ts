#!/usr/bin/env node
/** Runs the command line and sets the exit code: 0 done, 1 failed, 2 usage or configuration. */

/** What `engines` in package.json says. */
const OLDEST_NODE = 24;

if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
  const found = `this is ${process.versions.node} (${process.execPath})`;
  process.stderr.write(`hubcap: Node.js ${OLDEST_NODE} or newer is needed; ${found}\n`);
  process.exitCode = 1;
} else {
  // Only here: an older one cannot even load it.
  const { runCli } = await import('./cli/index.ts');
  process.exitCode = await runCli(process.argv.slice(2));
}

export {};
