import { Queue } from 'tidegate/workbox';
import { serveQueue } from './queue.js';
import { nameTheStart } from './start-id.js';

nameTheStart();
serveQueue(Queue);
