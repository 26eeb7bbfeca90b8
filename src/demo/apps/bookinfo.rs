//! Bookinfo: productpage asks details and reviews; reviews, from v2 on, asks ratings; ratings v2 its database.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::demo::router::Caller;
use crate::demo::traffic::mesh::{Answer, Call, Hop, Mesh, headers_of};
use crate::demo::world::Endpoint;

/// What a visitor gets.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductPage {
    /// Every call in the order in which it was made, the page's own first.
    pub hops: Vec<Hop>,
    /// `None` = the page itself failed.
    pub body: Option<Body>,
}

/// What stands on the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// Whether `details` answered.
    pub details: bool,
    /// `None` = `reviews` did not answer.
    pub reviews: Option<Reviews>,
}

/// The answer of `reviews`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reviews {
    pub version: Arc<str>,
    pub stars: Stars,
}

/// What each version of `reviews` is known for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stars {
    /// v1 does not ask `ratings`.
    None,
    /// v2, and every version that is not known.
    Black,
    /// v3.
    Red,
    /// `ratings` did not answer.
    Missing,
}

/// One view of the product page by `user` (empty = a guest).
pub fn product_page(mesh: &mut Mesh<'_>, user: &str) -> ProductPage {
    let headers = headers_of(user);
    let outside = Caller::outside("bookinfo/bookinfo-gateway");
    let call = Call {
        authority: "bookinfo.example.com",
        port: 80,
        method: "GET",
        path: "/productpage",
        headers: &headers,
    };
    let mut hops = Vec::new();
    let (hop, body) = mesh.call(&outside, &call, |mesh, page| {
        let page = Caller::pod(page);
        let (details, _) =
            mesh.call(&page, &get("details:9080", "/details/0", &headers), |_, _| Answer::ok((), 0.0));
        let (reviews, said) = reviews(mesh, &page, &headers, &mut hops);
        let waited_ms = details.ms + reviews.ms;
        let body = Body { details: details.is_ok(), reviews: said.filter(|_| reviews.is_ok()) };
        hops.insert(0, reviews);
        hops.insert(0, details);
        Answer::ok(body, waited_ms)
    });
    let body = body.filter(|_| hop.is_ok());
    hops.insert(0, hop);
    ProductPage { hops, body }
}

fn reviews(
    mesh: &mut Mesh<'_>,
    page: &Caller,
    headers: &BTreeMap<String, String>,
    hops: &mut Vec<Hop>,
) -> (Hop, Option<Reviews>) {
    mesh.call(page, &get("reviews:9080", "/reviews/0", headers), |mesh, pod| {
        let version = pod.version.clone();
        if &*version == "v1" {
            return Answer::ok(Reviews { version, stars: Stars::None }, 0.0);
        }
        let mut database = None;
        let (ratings, _) =
            mesh.call(&Caller::pod(pod), &get("ratings:9080", "/ratings/0", headers), |mesh, pod| {
                ask_database(mesh, pod, &mut database)
            });
        let stars = match (&*version, ratings.is_ok()) {
            (_, false) => Stars::Missing,
            ("v3", true) => Stars::Red,
            (_, true) => Stars::Black,
        };
        let waited_ms = ratings.ms;
        hops.push(ratings);
        hops.extend(database);
        Answer::ok(Reviews { version, stars }, waited_ms)
    })
}

/// Ratings v2 keeps its numbers in a database.
fn ask_database(mesh: &mut Mesh<'_>, pod: &Arc<Endpoint>, database: &mut Option<Hop>) -> Answer<()> {
    if &*pod.version != "v2" {
        return Answer::ok((), 0.0);
    }
    let hop = mesh.connect(&Caller::pod(pod), "mongodb", 27017);
    let answer = Answer { status: if hop.is_ok() { 200 } else { 503 }, waited_ms: hop.ms, body: () };
    *database = Some(hop);
    answer
}

fn get<'a>(authority: &'a str, path: &'a str, headers: &'a BTreeMap<String, String>) -> Call<'a> {
    let port = authority.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(80);
    Call { authority, port, method: "GET", path, headers }
}
