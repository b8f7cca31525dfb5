/** Where the data is something else, what the guest prints becomes talk: line by line on standard error. */

import { output, talk } from './standard-streams.js';

export function serialAsTalk(): { byte: (byte: number) => void; end: () => void } {
  let pending: number[] = [];
  const end = (): void => {
    if (pending.length > 0) {
      // Where both go to one place, they stand in the order in which they arose.
      output.flush();
      talk.line(`guest: ${Buffer.from(pending).toString('utf8')}`);
    }
    pending = [];
  };
  const byte = (value: number): void => {
    if (value === 10) end();
    else pending.push(value);
  };
  return { byte, end };
}
