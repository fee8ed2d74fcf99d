/** Owns the start of the status page. */
import type { Status } from '../src/admin/status.ts';

const answer = await fetch('api/status');
const status = (await answer.json()) as Status;
const main = document.querySelector('#page');
if (main) main.textContent = `hubcap ${status.version}`;
