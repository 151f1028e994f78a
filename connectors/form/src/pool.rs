//! Sessions kept for the next person of the same home: bounded, cleaned, discarded when old, on a driver that is restarted
//! when dead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use outbound::Pass;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::driver::Driver;
use crate::session::Session;
use crate::{BrowserError, BrowserOptions};

/// How much longer than a page a call to the driver may take: it answers after the page's own limit.
const CALL_GRACE: Duration = Duration::from_secs(5);

/// All browsers of this process.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) options: BrowserOptions,
    client: reqwest::Client,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
    driver: tokio::sync::Mutex<Option<Arc<Driver>>>,
    reaping: AtomicBool,
    shut_down: AtomicBool,
}

/// A session of one person's; given back by [`Pool::put_back`] or closed by [`Pool::discard`].
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) session: Session,
    permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(options: BrowserOptions) -> Result<Self, BrowserError> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(options.page_timeout + CALL_GRACE)
            .build()
            .map_err(|source| BrowserError::Client { source })?;
        Ok(Self {
            permits: Arc::new(Semaphore::new(options.sessions_max.clamp(1, Semaphore::MAX_PERMITS))),
            client,
            options,
            idle: Mutex::default(),
            driver: tokio::sync::Mutex::default(),
            reaping: AtomicBool::new(false),
            shut_down: AtomicBool::new(false),
        })
    }

    /// A clean session of this home, as soon as there is room for one. It has never been anywhere else.
    pub(crate) async fn take(self: &Arc<Self>, home: Pass) -> Result<Lease, BrowserError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| BrowserError::ShutDown)?;
        self.reap_from_now_on();
        if let Some(session) = self.pop_usable(&home) {
            return Ok(Lease { session, permit });
        }
        let pool = Arc::clone(self);
        // A task of its own: whoever gives up waiting must not leave a half-opened browser behind.
        let opened = tokio::spawn(async move {
            if let Some(session) = pool.pop_in_the_way() {
                pool.close(session).await;
            }
            Ok(Lease { session: pool.open_somehow(&home).await?, permit })
        });
        opened.await.unwrap_or(Err(BrowserError::ShutDown))
    }

    /// Keeps a session for the next person, cleaned; one that cannot be cleaned is closed.
    pub(crate) async fn put_back(self: &Arc<Self>, mut lease: Lease) {
        lease.session.uses += 1;
        lease.session.idle_since = Instant::now();
        let usable = lease.session.is_usable(&self.options) && !self.shut_down.load(Ordering::Acquire);
        if !usable || lease.session.clean().await.is_err() {
            return self.discard(lease);
        }
        lease.session.idle_since = Instant::now();
        self.idle().push(lease.session);
    }

    /// Closes a session in the background. Its place is free only then: a browser that lingers counts.
    pub(crate) fn discard(self: &Arc<Self>, lease: Lease) {
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            pool.close(lease.session).await;
            drop(lease.permit);
        });
    }

    /// Places that are taken, of how many.
    pub(crate) fn in_use(&self) -> (usize, usize) {
        let all = self.options.sessions_max.max(1);
        (all.saturating_sub(self.permits.available_permits()), all)
    }

    /// Waits for sessions in use, closes all, ends the driver.
    pub(crate) async fn shut_down(&self) {
        self.shut_down.store(true, Ordering::Release);
        let all = u32::try_from(self.options.sessions_max.max(1)).unwrap_or(u32::MAX);
        let in_use = self.permits.acquire_many(all);
        if tokio::time::timeout(self.options.total_timeout, in_use).await.is_err() {
            tracing::warn!("browser sessions still in use at shutdown are cut off");
        }
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for session in idle {
            session.close(self.call_timeout()).await;
        }
        if let Some(driver) = self.driver.lock().await.take().and_then(Arc::into_inner) {
            driver.stop().await;
        }
    }

    async fn close(&self, session: Session) {
        if !session.close(self.call_timeout()).await {
            tracing::warn!("a browser session did not end when asked; its driver is replaced");
            self.forget_dead_driver().await;
        }
    }

    async fn open_somehow(&self, home: &Pass) -> Result<Session, BrowserError> {
        match self.open(home).await {
            // the driver may have died a moment ago, or be wedged: once more with a fresh one
            Err(BrowserError::Session { .. }) => {
                self.forget_driver().await;
                self.open(home).await
            }
            opened => opened,
        }
    }

    async fn open(&self, home: &Pass) -> Result<Session, BrowserError> {
        let driver = self.driver().await?;
        Session::open(driver, self.client.clone(), &self.options, home.clone()).await
    }

    async fn driver(&self) -> Result<Arc<Driver>, BrowserError> {
        let mut current = self.driver.lock().await;
        if let Some(driver) = current.as_ref().filter(|driver| driver.is_alive()) {
            return Ok(Arc::clone(driver));
        }
        let driver = Arc::new(Driver::start(&self.options).await?);
        *current = Some(Arc::clone(&driver));
        Ok(driver)
    }

    /// The next session gets a new driver; this one ends with the last session that uses it.
    async fn forget_driver(&self) {
        *self.driver.lock().await = None;
    }

    /// As [`Self::forget_driver`], unless it can serve on.
    async fn forget_dead_driver(&self) {
        self.driver.lock().await.take_if(|driver| !driver.is_alive());
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last one given back of this home, so that the others may grow old and go.
    fn pop_usable(&self, home: &Pass) -> Option<Session> {
        let mut idle = self.idle();
        let at = idle.iter().rposition(|session| session.is_at(home) && session.is_usable(&self.options))?;
        Some(idle.remove(at))
    }

    /// The one that was given back first, when those in use (the one to be opened counts) leave no room for all that are kept.
    fn pop_in_the_way(&self) -> Option<Session> {
        let mut idle = self.idle();
        let (in_use, all) = self.in_use();
        (!idle.is_empty() && in_use + idle.len() > all).then(|| idle.remove(0))
    }

    async fn close_stale(&self) {
        let stale: Vec<_> = self.idle().extract_if(.., |session| !session.is_usable(&self.options)).collect();
        for session in stale {
            self.close(session).await;
        }
        // also when a session that was dropped did not end: then nobody waited for the answer
        self.forget_dead_driver().await;
    }

    fn call_timeout(&self) -> Duration {
        self.options.page_timeout + CALL_GRACE
    }

    /// Starts the one task that closes sessions that nobody wants any more; it ends with the pool.
    fn reap_from_now_on(self: &Arc<Self>) {
        if self.reaping.swap(true, Ordering::AcqRel) {
            return;
        }
        let pool = Arc::downgrade(self);
        let pause = self.options.session_idle / 2;
        tokio::spawn(reap(pool, pause.max(Duration::from_millis(50))));
    }
}

async fn reap(pool: Weak<Pool>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(pool) = pool.upgrade() else { return };
        if pool.shut_down.load(Ordering::Acquire) {
            return;
        }
        pool.close_stale().await;
    }
}
