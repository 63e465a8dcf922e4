// The common suite in Chromium.
import { commonSuite } from './common-suite.js';
import * as engine from './harness/chromium.js';

commonSuite(engine);
