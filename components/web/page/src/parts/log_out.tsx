// Logging out, wherever it is offered.

import { useState } from 'preact/hooks';
import * as routes from '../api/routes';
import { ApiError } from '../api/client';
import { navigate } from '../router';
import { leave } from '../state/session';
import { toast } from '../state/toasts';
import { t } from '../strings';
import { problem } from '../words';
import { Button } from './basics';

export function LogOut({ kind = 'quiet' }: { kind?: 'quiet' | 'plain' }) {
  const [isBusy, setBusy] = useState(false);
  const logOut = async () => {
    setBusy(true);
    try {
      await routes.logOut();
    } catch (error) {
      // A session that is over already is what was wanted. Otherwise it goes on, and nobody is told that it does not.
      if (!(error instanceof ApiError) || error.status !== 401) {
        setBusy(false);
        toast(problem(error), { isError: true });
        return;
      }
    }
    leave();
    navigate('/', { replace: true });
  };
  return (
    <Button kind={kind} icon="logout" isBusy={isBusy} onPress={() => void logOut()}>
      {t.logOut}
    </Button>
  );
}
