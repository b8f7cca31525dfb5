#!/usr/bin/env node
import './tune-v8.js';
import { main } from '../dist/cli/main.js';

process.exit(await main(process.argv.slice(2)));
