/** The guest programs of the project, for experiments. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { guestLoader } from '../../src/lab/guest-loader.js';
import { GUEST_PROGRAMS } from '../support/guest-programs.js';

export const guest = guestLoader((path) => {
  const file = join(GUEST_PROGRAMS, path);
  return existsSync(file) ? readFileSync(file) : undefined;
});
