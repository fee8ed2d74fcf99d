/** Writes the dashboard into its file. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dashboardFile } from './dashboard.ts';

writeFileSync(join(import.meta.dirname, 'hubcap.json'), dashboardFile());
