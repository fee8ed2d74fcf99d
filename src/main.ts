#!/usr/bin/env node
/** Runs the command line and sets the exit code: 0 done, 1 failed, 2 usage or configuration. */
import { runCli } from './cli/index.ts';

process.exitCode = await runCli(process.argv.slice(2));
