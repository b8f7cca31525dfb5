/** Where the data is something else, what the guest prints becomes talk: line by line on standard error. */

import { talk } from './standard-streams.js';

export function serialAsTalk(): { byte: (byte: number) => void; end: () => void } {
  let pending: number[] = [];
  const end = (): void => {
    if (pending.length > 0) talk.line(`guest: ${Buffer.from(pending).toString('utf8')}`);
    pending = [];
  };
  const byte = (value: number): void => {
    if (value === 10) end();
    else pending.push(value);
  };
  return { byte, end };
}
