import { Queue } from 'workbox-background-sync';
import { serveQueue } from './queue.js';
import { nameTheStart } from './start-id.js';

nameTheStart();
serveQueue(Queue);
